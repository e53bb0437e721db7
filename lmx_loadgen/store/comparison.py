"""The models of a comparison: part of the `result.json` of a run with several targets, and what `compare` prints."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.at_load_point import AtLoadPoint

Verdict = Literal["better", "worse", "equivalent", "undecided", "refused"]
# Why a verdict is undecided (the first five) or refused.
ReasonCode = Literal["chance", "drift", "carry_over", "unreplicated", "unsupported", "audit", "tainted", "few_blocks"]


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
    """How values changed while they were measured: the two-sided `p` of no change, corrected for the kinds that were
    looked for, and `change` as a ratio of late to early.

    `kind` is a `trend` over the blocks (Mann-Kendall's p; Theil and Sen's line), a `step` between two of them, or a
    change `within` a block's requests.
    """

    p: float
    change: float
    kind: Literal["trend", "step", "within"] = "trend"


class MetricComparison(_Model):
    """B against A in one figure at one level.

    `a` and `b` are over the requests of all blocks, as the level has them (where runs are compared, medians of the
    runs' values); percentiles of the tail and what the SLO counts have intervals of their own in `ci95_a` and `ci95_b`.
    `ratio` is b / a by what is tested: shifts within a prompt class, whose shares of it are in `weights`. Where `scale`
    is `points` (shares), `difference` is b − a, `ci95` its interval, and there is no ratio. `ci95` is simultaneous: it
    holds for all figures, levels and targets together and never contradicts the verdict; `ci95_single` is the interval
    of this figure for a reader who looks at no other. `p_holm` is corrected like `ci95`. `n` counts rounds where both
    took turns, else the runs of the side with fewer. `drift` is of the ratio. `more_blocks` is about how many more
    blocks would make it conclusive, None where that is over 200 or makes no sense.
    """

    title: str
    unit: str
    better: Literal["lower", "higher"]
    verdict: Verdict
    reason_code: ReasonCode | None = None
    reason: str | None = None
    n: int = 0
    a: float | None = None
    b: float | None = None
    ratio: float | None = None
    ci95: tuple[float, float] | None = None
    ci95_single: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    more_blocks: int | None = None
    scale: Literal["ratio", "points"] = "ratio"
    difference: float | None = None
    ci95_a: tuple[float, float] | None = None
    ci95_b: tuple[float, float] | None = None
    drift: Drift | None = None
    drift_a: Drift | None = None
    drift_b: Drift | None = None
    weights: dict[str, float] = {}
    blocks_a: list[BlockValue] = []
    blocks_b: list[BlockValue] = []

    @property
    def change(self) -> float | None:
        """From A to B: a share of A's value, or of one where both are shares."""
        if self.scale == "points":
            return self.difference
        return None if self.ratio is None else self.ratio - 1

    @property
    def change95(self) -> tuple[float, float] | None:
        """The simultaneous interval of that."""
        if self.ci95 is None or self.scale == "points":
            return self.ci95
        return self.ci95[0] - 1, self.ci95[1] - 1

    @property
    def is_untested(self) -> bool:
        """Whether there are too few requests to say anything of it."""
        return self.reason_code == "unsupported" and self.p is None


class LevelComparison(AtLoadPoint, _Model):
    """All figures compared at one load point. `token_basis` is what both sides' rates count there."""

    token_basis: Literal["usage", "tokenizer", "events", "characters"] | None
    metrics: dict[str, MetricComparison]
    sentences: list[str] = []


class RankedTarget(_Model):
    """One target in a ranking. Chance may explain the difference of any two that have a letter in common."""

    target: str
    value: float
    letters: str


class Ranking(AtLoadPoint, _Model):
    """All targets of a run in one figure at one load point, the best first."""

    figure: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    targets: list[RankedTarget]


class AuditLine(_Model):
    """One check of whether both sides did the same work. `load_points` are the levels that it is about (none: all),
    `metrics` the figures it refuses where it failed (none: all). An accepted failure refuses nothing."""

    key: str
    title: str
    status: Literal["passed", "failed", "unknown"]
    load_points: list[LoadPoint] = []
    metrics: list[str] = []
    a: str
    b: str
    sentence: str = ""
    accepted: bool = False


class Comparison(_Model):
    """Two sides compared: `interleaved` within one session, or `sequential`, where a run is one observation.

    `runs_a` and `runs_b` are the ids of the runs of either side where they are separate; `scatter_runs` are those that
    only tell how far runs of the same work lie apart. `accepted` is the reason for which failed checks were overridden.
    `sentences` are for reading, the first one first.
    """

    a: ComparedSide
    b: ComparedSide
    mode: Literal["interleaved", "sequential"]
    until_conclusive: bool
    margin: float
    runs_a: list[str] = []
    runs_b: list[str] = []
    scatter_runs: list[str] = []
    accepted: str | None = None
    sentences: list[str] = []
    audit: list[AuditLine] = []
    levels: list[LevelComparison] = []
    notes: list[str] = []
