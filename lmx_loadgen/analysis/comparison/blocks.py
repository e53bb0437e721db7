"""One side of a comparison: what was measured on one target, cut into the blocks that a verdict is made of.

Requests of one block share whatever the machine did at that time, so they are no independent samples; blocks nearly
are. Every figure compared is therefore one value a block, and statistics begin there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record, records, stamped_by_loop
from lmx_loadgen.analysis.stats import percentile
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.window import Window, output_rate, window_of
from lmx_loadgen.store.eventlog import LogContents
from lmx_loadgen.system.clock import NS

# A run that was not measured in blocks is cut into this many, one after the other.
CHUNKS = 6
_FEWEST_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure that two sides are compared by: the median over a block's requests, or the rate of the whole block."""

    name: str
    metric: str
    statistic: Literal["median", "rate"]

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.metric].better == "higher"


COMPARED: dict[str, Compared] = {
    one.name: one
    for one in (
        Compared("ttft_p50", "ttft", "median"),
        Compared("decode_tok_s_p50", "decode_tok_s", "median"),
        Compared("output_tok_s", "output_tok_s", "rate"),
        Compared("e2e_p50", "e2e", "median"),
        Compared("longest_stall_p50", "longest_stall", "median"),
    )
}


@dataclass(frozen=True, slots=True)
class Block:
    """One block of one side at one level.

    `at_s` is the middle of the block in Unix seconds. `samples` are the values of its answers by metric, `failed` is
    how many requests stand beside them without any, and `rates` has what only the whole block has: its value and the
    seconds it is a mean over.
    """

    number: int
    at_s: float
    samples: Mapping[str, Sequence[float]]
    failed: int
    rates: Mapping[str, tuple[float, float]]

    def value(self, compared: Compared) -> float | None:
        """The block's one value; None where it has none, or none above zero, which no ratio can be made of."""
        if compared.statistic == "rate":
            found = self.rates.get(compared.metric, (None, 0.0))[0]
        else:
            better = METRICS[compared.metric].better
            found = percentile(sorted(self.samples.get(compared.metric, ())), 50, failed=self.failed, better=better)
        return found if found is not None and found > 0 else None


@dataclass(frozen=True)
class Arm:
    """One target of one run. `label` is what it is called in sentences."""

    label: str
    log: LogContents
    target: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.target["name"])

    @property
    def run_id(self) -> str:
        return str(self.log.header["run_id"])

    @property
    def profile(self) -> Mapping[str, Any]:
        profile: Mapping[str, Any] = self.log.header["profile"]
        return profile

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """Its measured requests' lines, in the order they ended."""
        mine = (line for line in self.log.requests if line["target"] == self.name)
        return [line for line in mine if line["phase"] == "measured"]

    @cached_property
    def records(self) -> list[Record]:
        """The same as records."""
        return records(self.lines, stamped_by_loop(self.log.header, self.target))

    @cached_property
    def levels(self) -> dict[int, int]:
        """Number of each level by its concurrency."""
        mine = [segment for segment in self.log.header["plan"] if segment["target"] == self.name]
        return {segment["concurrency"]: segment["level"] for segment in mine}

    def at(self, concurrency: int) -> list[Record]:
        """The measured requests at a concurrency, stopped ones left out."""
        level = self.levels.get(concurrency)
        return [one for one in self.records if one.level == level and one.outcome != "cancelled"]

    def segments(self, concurrency: int) -> list[dict[str, Any]]:
        """The segments at a concurrency that ran to their end."""
        level = self.levels.get(concurrency)
        mine = [line for line in self.log.segments if line["target"] == self.name and line["level"] == level]
        return [line for line in mine if not line["stopped"]]

    def unix_s(self, at_ns: int) -> float:
        """A moment of the event log as seconds since 1970."""
        clock = self.log.header["clock"]
        return float((at_ns - clock["mono_ns"] + clock["unix_ns"]) / NS)


def arm_of(log: LogContents, target: str, label: str | None = None) -> Arm:
    """The side that a target of a run makes. Raises KeyError when the run has no such target."""
    found = next((one for one in log.header["targets"] if one["name"] == target), None)
    if found is None:
        raise KeyError(target)
    return Arm(label or target, log, found)


def blocks_of_arm(arm: Arm, concurrency: int, basis: Basis, *, cut: bool) -> list[Block]:
    """The side's blocks at a concurrency, in the order of their numbers.

    With `cut`, a run in one piece is cut into `CHUNKS`. Pieces of one stretch of time are no pairs with those of
    another, so this is only for sides that are not paired.
    """
    segments = arm.segments(concurrency)
    if cut and len(segments) < _FEWEST_BLOCKS:
        segments = [piece for segment in segments for piece in _pieces(segment)]
    at_level = arm.at(concurrency)
    found = []
    for segment in segments:
        in_segment = [one for one in at_level if one.segment == segment["segment"]]
        mine = [one for one in in_segment if _within(segment, one)]
        if mine:
            at_s = arm.unix_s((segment["start_ns"] + segment["end_ns"]) // 2)
            window = window_of([segment])
            found.append(block_of(mine, segment["block"], at_s, concurrency, basis, arm.profile, window, in_segment))
    return sorted(found, key=lambda block: block.number)


def _pieces(segment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A segment's time under full load, cut into equal pieces that look like segments."""
    (span,) = window_of([segment]).spans.values() or [(0, 0)]
    step = (span[1] - span[0]) / CHUNKS
    edges = [span[0] + round(step * place) for place in range(CHUNKS + 1)]
    return [
        {**segment, "block": segment["block"] * CHUNKS + place, "piece": True, "ramp_end_ns": start}
        | {"drain_start_ns": end, "start_ns": start, "end_ns": end}
        for place, (start, end) in enumerate(pairwise(edges))
        if end > start
    ]


def _within(segment: Mapping[str, Any], one: Record) -> bool:
    """Whether a request belongs to a piece: by when it was sent (the last piece's edge is the window's)."""
    if "piece" not in segment:
        return True
    return one.send_ns is not None and segment["start_ns"] <= one.send_ns < segment["end_ns"]


def block_of(
    mine: Sequence[Record],
    number: int,
    at_s: float,
    concurrency: int,
    basis: Basis,
    profile: Mapping[str, Any],
    window: Window,
    in_segment: Sequence[Record] | None = None,
) -> Block:
    """A block out of its requests, and its rates out of all that arrived inside its window (an answer may span several
    pieces of a segment). The first wave is left out where there are enough others."""
    steady = [one for one in mine if not one.first_wave]
    chosen = steady if concurrency > 1 and sum(one.ok for one in steady) >= concurrency else list(mine)
    answers = [one for one in chosen if one.ok]
    rate = output_rate(window, in_segment or mine, basis)
    return Block(
        number=number,
        at_s=at_s,
        samples={
            one.metric: _values(one.metric, answers, basis, profile)
            for one in COMPARED.values()
            if one.statistic == "median"
        },
        failed=sum(not one.ok for one in chosen),
        rates={} if rate is None else {"output_tok_s": (rate, window.seconds)},
    )


def _values(metric: str, answers: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> list[float]:
    of = METRICS[metric].of
    assert of is not None
    values = (of(answer, basis, profile) for answer in answers)
    return [value for value in values if value is not None and math.isfinite(value)]
