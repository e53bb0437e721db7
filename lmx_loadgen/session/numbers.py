"""The running numbers that segments have in the log."""

from collections.abc import Sequence
from dataclasses import replace

from lmx_loadgen.session.plan import LOAD, Segment, SegmentKey
from lmx_loadgen.session.resume import ResumeState


class Numbers:
    """Gives each segment its number: that of the plan, that which it had before the run was resumed, or a new one."""

    def __init__(self, plan: Sequence[Segment], resumed: ResumeState | None) -> None:
        self._known: dict[SegmentKey, int] = {segment.key(): segment.segment for segment in plan}
        self._known |= resumed.numbers if resumed is not None else {}
        self._next = max(len(plan), resumed.next_segment if resumed is not None else 0)

    def of(self, segment: Segment, phase: str = LOAD) -> Segment:
        """The segment with its number."""
        key = segment.key(phase)
        if key not in self._known:
            self._known[key], self._next = self._next, self._next + 1
        return replace(segment, segment=self._known[key])
