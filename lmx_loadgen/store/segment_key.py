"""What a segment is: a stretch of load on one target, known by what it is and not by a number."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from lmx_loadgen.profile.load_point import LoadPoint, load_point

# `load` has the requests of all levels, warm-ups included; what stands beside it is in no level's figures.
SegmentPhase = Literal["load", "probe", "stability", "check"]
LOAD: SegmentPhase = "load"
_REQUESTS_OF_LOAD = ("warmup", "measured")


class SegmentKey(NamedTuple):
    """Which segment of a run: no other has the same key. The order of a plan is that of its list."""

    target: str
    load_point: LoadPoint
    block: int
    phase: SegmentPhase = LOAD

    @property
    def text(self) -> str:
        """The key as one word: `lmx/concurrency 4/0/load`."""
        return f"{self.target}/{self.load_point.label}/{self.block}/{self.phase}"

    def as_dict(self) -> dict[str, Any]:
        """The fields that name the segment in a line of the event log."""
        return self._asdict() | {"load_point": self.load_point.model_dump()}


def segment_key(line: Mapping[str, Any]) -> SegmentKey:
    """The segment that a line of an event log belongs to, a request's or one that names its segment itself."""
    phase = line["phase"]
    phase = LOAD if phase in _REQUESTS_OF_LOAD else phase
    return SegmentKey(line["target"], load_point(line["load_point"]), line["block"], phase)
