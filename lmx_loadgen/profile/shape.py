"""A shape: how many tokens a prompt has, and how many its answer."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

_WRITTEN = re.compile(r"(\d+):(\d+)\Z")


class Shape(BaseModel):
    """Tokens of a prompt, by the server's own count and with its chat template, and of its answer: `512:128`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Annotated[int, Strict(), Field(ge=1, le=2_000_000)]
    answer: Annotated[int, Strict(), Field(ge=1, le=131_072)]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if (found := _WRITTEN.match(value.strip())) is None:
            raise ValueError("must be the tokens of a prompt and of its answer, like 512:128")
        return {"prompt": int(found[1]), "answer": int(found[2])}

    @property
    def text(self) -> str:
        """As it is written: `512:128`."""
        return f"{self.prompt}:{self.answer}"

    @property
    def label(self) -> str:
        """In sentences and tables: `512→128`."""
        return f"{self.prompt}→{self.answer}"
