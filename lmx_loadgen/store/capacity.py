"""The models of a search for a server's capacity: part of its run's `result.json`, and what `capacity` prints."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lmx_loadgen.store.at_load_point import AtLoadPoint


class CapacityPoint(AtLoadPoint):
    """One load that was tried: the share of its requests within every limit, and its interval over blocks, allowing for
    how often it may be looked at. `sure` says whether that lies on one side of what was asked for."""

    load: float
    blocks: int
    requests: int
    share: float | None
    interval: tuple[float, float] | None
    overloaded: bool
    passes: bool
    sure: bool


class CapacityResult(BaseModel):
    """The highest load that `passes` and the lowest above it that `fails`, in what it was searched `by`.

    `value` is `passes`, also where the time allowed only a range. `confidence` is None where either may be chance;
    `range95` then has the highest load that surely passes and the lowest that surely fails, None where none does.
    `limit_broken` is what most requests at `fails` missed: TTFT, TPOT, E2E, errors, or overload. `monotone` says that
    no load above `fails` passed, and `finished` that nothing was left to measure.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True)

    by: Literal["concurrency", "rate", "users"]
    share: float
    value: float | None
    passes: float | None
    fails: float | None
    confidence: float | None
    range95: tuple[float | None, float | None]
    limit_broken: str | None
    monotone: bool
    finished: bool
    points: list[CapacityPoint]
    sentence: str


class CapacityRatio(BaseModel):
    """The capacity of `b` ÷ that of `a`, and between which bounds it lies with 95 % confidence; None where a side has
    none. The verdict is on b."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True)

    a: str
    b: str
    value: float | None
    low: float | None
    high: float | None
    verdict: Literal["better", "worse", "undecided"]
    sentence: str
