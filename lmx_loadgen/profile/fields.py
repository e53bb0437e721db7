"""The kinds of fields that a profile's models are made of."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from lmx_loadgen.profile.durations import seconds

DAY_S = 86_400.0


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=DAY_S, allow_inf_nan=False)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
RequestRate = Annotated[float, BeforeValidator(_number), Field(gt=0, le=100_000, allow_inf_nan=False)]
# How many requests run at once. What this machine bears is checked before a run (`session.machine_limits`).
InFlight = Annotated[StrictInt, Field(ge=1, le=2**31)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
FileName = Annotated[str, Field(min_length=1, max_length=4096)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]


class ProfilePart(BaseModel):
    """A section of a profile: no unknown key, and no change once it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
