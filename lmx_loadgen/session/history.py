"""What has been measured of a run so far, before it was resumed and since: what a strategy decides by."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.analysis.conditions import SLEPT_S
from lmx_loadgen.analysis.delays import may_be_delayed
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.load_point import LoadPoint, load_point
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.resume import ResumeState
from lmx_loadgen.store.segment_key import LOAD, SegmentKey
from lmx_loadgen.system.clock import NS


@dataclass
class History:
    """Segments go by their keys.

    Attributes:
        finished: what need not be measured any more.
        measured: the segments of load measured since the run began or was resumed, in this order.
        begun: how many rounds of a level had begun when the run was resumed.
        again: how often a round, as (load point, block), has been measured again.
        spent_s: how long was measured before the run was resumed, in segments that count.
        answered: the targets that have given an answer.
        aborted: why a target gets no more load.
        delayed: the rounds, as (load point, block), that this machine may have delayed.
        took_s: how many seconds each segment of load took since the run began or was resumed, in this order.
    """

    finished: set[SegmentKey] = field(default_factory=set)
    measured: list[Segment] = field(default_factory=list)
    begun: Mapping[LoadPoint, int] = field(default_factory=dict)
    again: Counter[tuple[LoadPoint, int]] = field(default_factory=Counter)
    spent_s: float = 0.0
    answered: set[str] = field(default_factory=set)
    aborted: dict[str, Stop] = field(default_factory=dict)
    delayed: set[tuple[LoadPoint, int]] = field(default_factory=set)
    took_s: list[tuple[SegmentKey, float]] = field(default_factory=list)
    _answers: dict[tuple[str, LoadPoint], tuple[float, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, resumed: ResumeState | None) -> "History":
        """That of a run that begins, or is resumed."""
        if resumed is None:
            return cls()
        return cls(
            finished=set(resumed.finished),
            begun={point: resumed.blocks_begun(point) for point in resumed.profile.load.points()},
            again=Counter(resumed.measured_again),
            spent_s=resumed.spent_s,
            answered=set(resumed.answered),
        )

    def again_at(self, point: LoadPoint) -> int:
        """How many rounds of a level have been measured again, each as often as it was."""
        return sum(times for (of_level, _), times in self.again.items() if of_level == point)

    @property
    def is_empty(self) -> bool:
        return not self.finished

    def is_finished(self, segment: Segment) -> bool:
        return segment.key in self.finished

    def add(self, segment: Segment, took_s: float = 0.0) -> None:
        """A segment has been measured."""
        self.finished.add(segment.key)
        if segment.key.phase == LOAD:
            self.measured.append(segment)
            self.took_s.append((segment.key, took_s))

    def round_s(self, point: LoadPoint, targets: int) -> float:
        """How many seconds the last blocks of a level took, one of each target; 0 where none was measured."""
        took = [seconds for key, seconds in self.took_s if key.load_point == point]
        return sum(took[-targets:])

    def answer_s(self, point: LoadPoint) -> float | None:
        """How long an answer takes at a load point, of the target that takes longest in the mean; None where nothing
        was measured there."""
        return max((took / n for (_, at), (took, n) in self._answers.items() if at == point), default=None)

    def note_request(self, line: Mapping[str, Any]) -> None:
        """A request has ended; `line` is what is stored of it."""
        if line["outcome"] == "ok":
            self.answered.add(line["target"])
        if line["phase"] != "measured":
            return
        point = load_point(line["load_point"])
        if may_be_delayed(line):
            self.delayed.add((point, line["block"]))
        if line["send_ns"] is not None:
            took, n = self._answers.get((line["target"], point), (0.0, 0))
            self._answers[line["target"], point] = took + (line["end_ns"] - line["send_ns"]) / NS, n + 1

    def note_machine(self, segment: Segment, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """How the machine did before and after a segment of load: it may have slept through it."""
        was_asleep_s, is_asleep_s = before.get("asleep_s"), after.get("asleep_s")
        if None not in (was_asleep_s, is_asleep_s) and is_asleep_s - was_asleep_s > SLEPT_S:  # type: ignore[operator]
            self.delayed.add((segment.load_point, segment.block))

    def measure_again(self, point: LoadPoint, block: int) -> None:
        """What was measured of a round is void."""
        self.again[point, block] += 1
        self.delayed.discard((point, block))
        self.finished = {key for key in self.finished if key[1:] != (point, block, LOAD)}
