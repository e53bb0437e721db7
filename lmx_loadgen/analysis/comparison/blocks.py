"""One side of a comparison: what was measured on one target, cut into the blocks that a verdict is made of.

Requests of one block share whatever the machine did at that time, so they are no independent samples; blocks nearly
are. Every figure compared is therefore one value a block, and statistics begin there.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from lmx_loadgen.analysis import slo
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.metrics import METRICS, headline
from lmx_loadgen.analysis.record_store import grouped, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import is_supported, percentile
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.values import chained, in_order
from lmx_loadgen.analysis.window import Window, window_of, window_rates
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.log_reader import LogContents, LogLine
from lmx_loadgen.store.segment_key import LOAD, SegmentKey, segment_key
from lmx_loadgen.system.clock import NS

# The median over a block's requests, the rate of the whole block, a percentile over the requests of all blocks, the
# rate of requests within the SLO, and their share.
Statistic = Literal["median", "rate", "p95", "p99", "good_rate", "share"]
Family = Literal["primary", "secondary", "tail"]
_TAILS: dict[str, int] = {"p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure that two sides are compared by.

    The primary ones are what a comparison is made for; they are tested first, and decide when it is conclusive. Tails
    are a family of their own: a percentile over all of a level's requests, and what the SLO counts.
    """

    name: str
    metric: str
    statistic: Statistic
    family: Family = "secondary"

    @property
    def is_primary(self) -> bool:
        return self.family == "primary"

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.metric].better == "higher"

    @property
    def percent(self) -> int | None:
        """Which percentile of the tail it is."""
        return _TAILS.get(self.statistic)

    @property
    def in_points(self) -> bool:
        """Whether sides differ by percentage points and not by a ratio."""
        return self.statistic == "share"

    @property
    def of_slo(self) -> bool:
        """Whether there is such a figure only where an SLO is set."""
        return self.statistic in ("share", "good_rate")

    @property
    def of_blocks(self) -> bool:
        """Whether each block has a value of its own that shifts are taken between."""
        return self.statistic in ("median", "rate")


COMPARED: dict[str, Compared] = {
    one.name: one
    for one in (
        Compared("ttft_p50", "ttft", "median", "primary"),
        Compared("decode_tok_s_p50", "decode_tok_s", "median", "primary"),
        Compared("output_tok_s", "output_tok_s", "rate"),
        Compared("e2e_p50", "e2e", "median"),
        Compared("longest_stall_p50", "longest_stall", "median"),
        Compared("ttft_p95", "ttft", "p95", "tail"),
        Compared("ttft_p99", "ttft", "p99", "tail"),
        Compared("e2e_p95", "e2e", "p95", "tail"),
        Compared("e2e_p99", "e2e", "p99", "tail"),
        Compared("goodput", "goodput", "good_rate", "tail"),
        Compared("slo_share", "slo_share", "share", "tail"),
    )
}
_LIMITED_BY_SLO = frozenset({"ttft", "decode_tok_s", "e2e"})


def figures_of(*metrics: str) -> tuple[str, ...]:
    """All figures of these metrics, tails included, and what the SLO counts where it may limit one of them: whatever
    falsifies a metric falsifies all of these."""
    with_slo = not _LIMITED_BY_SLO.isdisjoint(metrics)
    return tuple(name for name, one in COMPARED.items() if one.metric in metrics or (with_slo and one.of_slo))


@dataclass(frozen=True, slots=True)
class Block:
    """One block of one side at one level.

    `at_s` is the middle of the block in Unix seconds. `samples` are the values of its answers by metric and by class of
    prompt, in the order they ended; `failed` is how many requests stand beside them without any. `rates` has what only
    the whole block has. `after` is the target of the block just before it. `slo` counts the requests that met the SLO
    and all of them, where one is set. `seconds` are those of its window, in which rates are taken.
    """

    number: int
    at_s: float
    samples: Mapping[str, Mapping[str, Sequence[float]]]
    failed: int
    rates: Mapping[str, float]
    after: str | None = None
    slo: tuple[int, int] | None = None
    seconds: float = 0.0

    def value(self, compared: Compared) -> float | None:
        """The block's one value; None where it has none, or none above zero, which no ratio can be made of."""
        if compared.statistic == "share":
            return self.slo[0] / self.slo[1] if self.slo is not None else None
        if compared.statistic in ("rate", "good_rate"):
            found = self.rates.get(compared.metric)
        else:
            better = METRICS[compared.metric].better
            values, percent = self.values(compared), compared.percent or 50
            is_known = percent == 50 or is_supported(len(values) + self.failed, percent)
            found = percentile(values, percent, failed=self.failed, better=better) if is_known else None
        return found if found is not None and found > 0 else None

    def values(self, compared: Compared) -> Sequence[float]:
        """Its answers' values of all classes, lowest first."""
        return in_order(chained(self.samples.get(compared.metric, {}).values()))

    def has(self, compared: Compared) -> bool:
        """Whether it has anything to compare in this figure."""
        if compared.percent is not None:
            return any(self.samples.get(compared.metric, {}).values())
        if compared.statistic == "good_rate":
            return compared.metric in self.rates  # zero says something as well
        return self.value(compared) is not None

    def logs(self, compared: Compared) -> dict[str, "array[float]"]:
        """Logarithms of its answers' values by class of prompt; those that are not above zero have none."""
        by_class = self.samples.get(compared.metric, {})
        return {name: array("d", (math.log(one) for one in values if one > 0)) for name, values in by_class.items()}


@dataclass(frozen=True)
class Arm:
    """One target of one run. `label` is what it is called in sentences."""

    label: str
    run: MeasuredRun
    target: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.target["name"])

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def header(self) -> LogLine:
        return self.run.header

    @property
    def profile(self) -> Mapping[str, Any]:
        return self.run.profile

    @cached_property
    def models_answered(self) -> list[str]:
        """What its measured answers say they came from."""
        return self.run.models_answered(self.name, measured=True)

    @cached_property
    def load_points(self) -> list[LoadPoint]:
        """Its levels, in the order they were to run."""
        return self.run.load_points(self.name)

    @cached_property
    def _levels(self) -> dict[LoadPoint, Sequence[Record]]:
        return {}

    def at(self, point: LoadPoint) -> Sequence[Record]:
        """The measured requests of a level, stopped ones left out."""
        if point not in self._levels:
            of_level = self.run.requests(self.name, point)
            self._levels[point] = where(of_level, lambda one: one.measured and one.outcome != "cancelled")
        return self._levels[point]

    def segments(self, point: LoadPoint) -> list[LogLine]:
        """The segments of a level that ran to their end."""
        return [line for line in self.run.segments(self.name, point) if not line["stopped"]]

    def unix_s(self, at_ns: int) -> float:
        """A moment of the event log as seconds since 1970."""
        clock = self.header["clock"]
        return float((at_ns - clock["mono_ns"] + clock["unix_ns"]) / NS)


def arm_of(run: MeasuredRun, target: str, label: str | None = None) -> Arm:
    """The side that a target of a run makes. Raises KeyError when the run has no such target."""
    return Arm(label or target, run, run.targets[target])


def blocks_of_arm(arm: Arm, point: LoadPoint, basis: Basis) -> list[Block]:
    """The side's blocks at a load point, in the order of their numbers."""
    at_level = grouped(arm.at(point), lambda one: one.block)
    after = _targets_before(arm.run.log, point)
    found = []
    for segment in arm.segments(point):
        mine = at_level.get(segment["block"])
        if mine:
            at_s = arm.unix_s((segment["start_ns"] + segment["end_ns"]) // 2)
            block = block_of(mine, segment["block"], at_s, _wave(point), basis, arm.profile, window_of([segment]))
            found.append(replace(block, after=after.get(segment_key(segment))))
    return sorted(found, key=lambda block: block.number)


def run_as_block(arm: Arm, point: LoadPoint, basis: Basis) -> Block | None:
    """All that a run measured at a load point as one block: where runs are compared, a run is one observation.

    None where no segment of it ran to its end, or none of its requests was measured.
    """
    segments = arm.segments(point)
    whole = {line["block"] for line in segments}
    requests = where(arm.at(point), lambda one: one.block in whole)
    if not segments or not requests:
        return None
    at_s = arm.unix_s((segments[0]["start_ns"] + segments[-1]["end_ns"]) // 2)
    return block_of(requests, 0, at_s, _wave(point), basis, arm.profile, window_of(segments))


def _wave(point: LoadPoint) -> int:
    """How many requests begin a load together; an open loop has no such wave."""
    return 1 if point.IS_OPEN else point.slots


def _targets_before(log: LogContents, point: LoadPoint) -> dict[SegmentKey, str]:
    """By segment, the target whose block at the same level ran just before it, also one that was measured again."""
    void = (line for line in log.superseded if line["type"] == "segment")
    keyed = [(line["start_ns"], segment_key(line)) for line in (*log.segments, *void) if line["start_ns"] is not None]
    of_level = [(start, key) for start, key in keyed if key.load_point == point and key.phase == LOAD]
    of_level.sort(key=lambda one: one[0])
    return {late: early.target for (_, early), (_, late) in pairwise(of_level)}


def block_of(
    mine: Sequence[Record],
    number: int,
    at_s: float,
    slots: int,
    basis: Basis,
    profile: Mapping[str, Any],
    window: Window,
) -> Block:
    """A block out of its requests, and its rates out of all that arrived inside its window. The first wave is left out
    where there are enough others."""
    steady = where(mine, lambda one: not one.first_wave)
    chosen = steady if slots > 1 and sum(one.ok for one in steady) >= slots else mine
    answers = where(chosen, lambda one: one.ok)
    return Block(
        number=number,
        at_s=at_s,
        samples=_values(answers, basis, profile),
        failed=sum(not one.ok for one in chosen),
        rates=window_rates(window, mine, basis, profile),
        slo=slo.counted(chosen, basis, profile),
        seconds=window.seconds,
    )


def _values(
    answers: Sequence[Record], basis: Basis, profile: Mapping[str, Any]
) -> dict[str, dict[str, "array[float]"]]:
    """By metric and by class of prompt."""
    names = [one.metric for one in COMPARED.values() if one.statistic == "median"]
    found: dict[str, dict[str, array[float]]] = {name: {} for name in names}
    for answer in answers:
        for name in names:
            of = METRICS[headline(name, answer.load_point)].of
            assert of is not None
            value = of(answer, basis, profile)
            if value is not None and math.isfinite(value):
                found[name].setdefault(answer.prompt_class, array("d")).append(value)
    return found
