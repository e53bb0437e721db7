"""`reference/tools-vs-truth.yaml`: what load tools report, held against what a simulator truly did."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmx_loadgen.errors import ProfileError, first_fault
from lmx_loadgen.profile.strict_yaml import read_yaml

NAME = "tools-vs-truth.yaml"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class TtftError(_Model):
    """Reported minus true time to first token, in ms, at the median and at the 99th percentile."""

    p50: float
    p99: float


class ToolErrors(_Model):
    """One tool's errors by concurrency."""

    name: str = Field(min_length=1, max_length=60)
    version: str = Field(max_length=60)
    ttft_error_ms: dict[int, TtftError]


class ToolsVsTruth(_Model):
    """The table, and the circumstances under which it was measured."""

    date: str
    machine: str
    settings: dict[str, Any]
    tools: list[ToolErrors]

    def levels(self) -> list[int]:
        """Every concurrency that any tool was measured at."""
        return sorted({level for tool in self.tools for level in tool.ttft_error_ms})


def read_tools_vs_truth(folder: Path) -> ToolsVsTruth | None:
    """The table in a reference folder, None where there is none. Raises ProfileError for one that cannot be read."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return ToolsVsTruth.model_validate(read_yaml(path, "reference file"))
    except ValidationError as problem:
        raise ProfileError(f"{path}: {first_fault(problem, 'the file')}") from None
