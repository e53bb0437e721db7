"""What a sweep measures next: each target from idle to overload."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lmx_loadgen.analysis.sweep import Swept
from lmx_loadgen.profile.load_point import Open
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import Segment, rounds
from lmx_loadgen.session.strategy import first_open
from lmx_loadgen.store.segment_key import LOAD


@dataclass
class Sweep:
    """The plan's segments, and then one rate after the other, of each target in turn; `swept` is asked what is known of
    a target by then."""

    profile: Profile
    plan: Sequence[Segment]
    swept: Callable[[str], Swept]
    _last: dict[str, int] = field(default_factory=dict)

    def next(self, history: History) -> Segment | None:
        """The segment to measure now; None when every target is through."""
        if (planned := first_open(self.plan, history)) is not None:
            return planned
        names = dict.fromkeys(segment.target for segment in self.plan if segment.target not in history.aborted)
        for name in sorted(names, key=lambda name: self._last.get(name, 0)):
            if (rate := self._swept(name, history).following) is not None:
                self._last[name] = max(self._last.values(), default=0) + 1
                return self._segment(name, rate)
        return None

    def _swept(self, name: str, history: History) -> Swept:
        """What is known of a target; a rate that brought no request in its time was not too much."""
        found = self.swept(name)
        points = (key.load_point for key in history.finished if key.target == name and key.phase == LOAD)
        return replace(found, rates={point.rate: False for point in points if point.kind == "open"} | found.rates)

    def _segment(self, target: str, rate: float) -> Segment:
        load = self.profile.load
        point = Open(rate=rate, arrivals=load.arrivals, max_in_flight=load.max_in_flight)
        (segment,) = rounds(self.profile, [target], point, range(1), 1)
        return segment
