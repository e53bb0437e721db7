"""One side of a comparison: what was measured on one target, cut into the blocks that a verdict is made of.

Requests of one block share whatever the machine did at that time, so they are no independent samples; blocks nearly
are. Every figure compared is therefore one value a block, and statistics begin there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import percentile
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.window import Window, output_rate, window_of
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.eventlog import LogContents, LogLine
from lmx_loadgen.store.segment_key import LOAD, SegmentKey, segment_key
from lmx_loadgen.system.clock import NS


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure that two sides are compared by: the median over a block's requests, or the rate of the whole block.

    The primary ones are what a comparison is made for; they are tested first, and decide when it is conclusive.
    """

    name: str
    metric: str
    statistic: Literal["median", "rate"]
    is_primary: bool = False

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.metric].better == "higher"


COMPARED: dict[str, Compared] = {
    one.name: one
    for one in (
        Compared("ttft_p50", "ttft", "median", is_primary=True),
        Compared("decode_tok_s_p50", "decode_tok_s", "median", is_primary=True),
        Compared("output_tok_s", "output_tok_s", "rate"),
        Compared("e2e_p50", "e2e", "median"),
        Compared("longest_stall_p50", "longest_stall", "median"),
    )
}


@dataclass(frozen=True, slots=True)
class Block:
    """One block of one side at one level.

    `at_s` is the middle of the block in Unix seconds. `samples` are the values of its answers by metric and by class of
    prompt, in the order they ended; `failed` is how many requests stand beside them without any. `rates` has what only
    the whole block has. `after` is the target of the block just before it.
    """

    number: int
    at_s: float
    samples: Mapping[str, Mapping[str, Sequence[float]]]
    failed: int
    rates: Mapping[str, float]
    after: str | None = None

    def value(self, compared: Compared) -> float | None:
        """The block's one value; None where it has none, or none above zero, which no ratio can be made of."""
        if compared.statistic == "rate":
            found = self.rates.get(compared.metric)
        else:
            better = METRICS[compared.metric].better
            values = [value for of_class in self.samples.get(compared.metric, {}).values() for value in of_class]
            found = percentile(sorted(values), 50, failed=self.failed, better=better)
        return found if found is not None and found > 0 else None

    def logs(self, compared: Compared) -> dict[str, list[float]]:
        """Logarithms of its answers' values by class of prompt; those that are not above zero have none."""
        by_class = self.samples.get(compared.metric, {})
        return {name: [math.log(value) for value in values if value > 0] for name, values in by_class.items()}


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
        mine = (one for one in self.run.records if one.target == self.name and one.measured)
        return sorted({one.model for one in mine if one.ok and one.model})

    @cached_property
    def load_points(self) -> list[LoadPoint]:
        """Its levels, in the order they were to run."""
        return self.run.load_points(self.name)

    def at(self, point: LoadPoint) -> list[Record]:
        """The measured requests of a level, stopped ones left out."""
        return [one for one in self.run.requests(self.name, point) if one.measured and one.outcome != "cancelled"]

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
    at_level = arm.at(point)
    after = _targets_before(arm.run.log, point)
    found = []
    for segment in arm.segments(point):
        mine = [one for one in at_level if one.block == segment["block"]]
        if mine:
            at_s = arm.unix_s((segment["start_ns"] + segment["end_ns"]) // 2)
            block = block_of(mine, segment["block"], at_s, point.slots, basis, arm.profile, window_of([segment]))
            found.append(replace(block, after=after.get(segment_key(segment))))
    return sorted(found, key=lambda block: block.number)


def run_as_block(arm: Arm, point: LoadPoint, basis: Basis) -> Block | None:
    """All that a run measured at a load point as one block: where runs are compared, a run is one observation.

    None where no segment of it ran to its end, or none of its requests was measured.
    """
    segments = arm.segments(point)
    whole = {line["block"] for line in segments}
    requests = [one for one in arm.at(point) if one.block in whole]
    if not segments or not requests:
        return None
    at_s = arm.unix_s((segments[0]["start_ns"] + segments[-1]["end_ns"]) // 2)
    return block_of(requests, 0, at_s, point.slots, basis, arm.profile, window_of(segments))


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
    steady = [one for one in mine if not one.first_wave]
    chosen = steady if slots > 1 and sum(one.ok for one in steady) >= slots else list(mine)
    answers = [one for one in chosen if one.ok]
    rate = output_rate(window, mine, basis)
    return Block(
        number=number,
        at_s=at_s,
        samples={
            one.metric: _values(one.metric, answers, basis, profile)
            for one in COMPARED.values()
            if one.statistic == "median"
        },
        failed=sum(not one.ok for one in chosen),
        rates={} if rate is None else {"output_tok_s": rate},
    )


def _values(metric: str, answers: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> dict[str, list[float]]:
    of = METRICS[metric].of
    assert of is not None
    found: dict[str, list[float]] = {}
    for answer in answers:
        value = of(answer, basis, profile)
        if value is not None and math.isfinite(value):
            found.setdefault(answer.prompt_class, []).append(value)
    return found
