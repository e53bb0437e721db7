"""What an app and its measuring process say to each other, a line of JSON each."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.service.request import BenchmarkRequest
from lmx_loadgen.store.result import BenchmarkResult

# busy: another measures. interrupted: stopped, `result` has what was measured until then. not_stored: the disk or the
# folder would not take it. The rest is why nothing was measured.
Trouble = Literal["model_not_loaded", "busy", "interrupted", "target", "request", "not_stored", "other"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class MeasureJob(_Message):
    """One run of the plan: on which server, and the folder that the run's own folder is made in. A tokenizer that was
    only found is done without where it cannot be used. `no_text`: prompts and answers are not stored."""

    asked: BenchmarkRequest
    target: TargetSpec
    runs_folder: Path
    tokenizer: str | None = None
    is_tokenizer_found: bool = False
    no_text: bool = False


class StopRun(_Message):
    """The run at hand is to end, and why."""

    stop: str


class MeasureReply(_Message):
    """What came of a run. `words` says what the trouble is, `since` when the other run began."""

    result: BenchmarkResult | None = None
    trouble: Trouble | None = None
    words: str = ""
    since: str | None = None
