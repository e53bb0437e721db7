"""What the figures of a level in a stored result begin with."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from lmx_loadgen.profile.load_point import LoadPoint, concurrency_of


class AtLoadPoint(BaseModel):
    """Something of one level. Beside the load point stands the `concurrency` of a closed loop as a plain number, for
    scripts that read it; it is None for any other kind of load."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True)

    load_point: LoadPoint
    concurrency: int | None = None

    @model_validator(mode="after")
    def _tell_concurrency(self) -> Self:
        self.concurrency = concurrency_of(self.load_point)
        return self
