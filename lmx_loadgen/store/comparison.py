"""The models of a comparison: part of the `result.json` of a run with several targets, and what `compare` prints."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["better", "worse", "equivalent", "undecided", "refused"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True)


class ComparedSide(_Model):
    """One side: the label it has in sentences, and what was measured."""

    label: str
    target: str
    run_id: str
    model: str
    started_at: str


class BlockValue(_Model):
    """One block's value on one side; `at_s` is the block's middle in seconds since the start of its run."""

    block: int
    at_s: float
    value: float


class Drift(_Model):
    """A trend of block values over a session: Mann-Kendall's two-sided `p`, and `change`, the ratio of where Theil and
    Sen's line ends to where it begins."""

    p: float
    change: float


class MetricComparison(_Model):
    """B against A in one figure at one level.

    `a` and `b` are geometric means of the blocks' values, `ratio` is b / a with its 95 % interval (t over blocks, made
    wider where a run looked at its results while it went on) and a second one by bootstrap. `p_holm` is corrected for
    all figures and levels. `drift` is of the ratio where blocks are paired, else of both runs together. `more_blocks`
    is about how many more would settle an undecided one, None where that is over 200 or makes no sense. `drifted` says
    that a trend explains the difference as well, and so took back the verdict.
    """

    title: str
    unit: str
    better: Literal["lower", "higher"]
    verdict: Verdict
    reason: str | None = None
    n: int = 0
    a: float | None = None
    b: float | None = None
    ratio: float | None = None
    ci95: tuple[float, float] | None = None
    bootstrap95: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    more_blocks: int | None = None
    drifted: bool = False
    drift: Drift | None = None
    drift_a: Drift | None = None
    drift_b: Drift | None = None
    blocks_a: list[BlockValue] = []
    blocks_b: list[BlockValue] = []


class LevelComparison(_Model):
    """All figures compared at one concurrency. `token_basis` is what both sides' rates count there."""

    concurrency: int
    token_basis: Literal["usage", "tokenizer", "events", "characters"] | None
    metrics: dict[str, MetricComparison]
    sentences: list[str] = []


class AuditLine(_Model):
    """One check of whether both sides did the same work. `levels` are the concurrencies it is about, `metrics` the
    figures it refuses where it failed (none: all). An accepted failure refuses nothing."""

    key: str
    title: str
    status: Literal["passed", "failed", "unknown"]
    levels: list[int] = []
    metrics: list[str] = []
    a: str
    b: str
    sentence: str = ""
    accepted: bool = False


class Comparison(_Model):
    """Two sides compared: `interleaved` within one session, or `sequential`, where drift is confounded with the side.

    `accepted` is the reason for which failed checks were overridden. `sentences` are for reading, the first one first.
    """

    a: ComparedSide
    b: ComparedSide
    mode: Literal["interleaved", "sequential"]
    until_conclusive: bool
    margin: float
    accepted: str | None = None
    sentences: list[str] = []
    audit: list[AuditLine] = []
    levels: list[LevelComparison] = []
    notes: list[str] = []
