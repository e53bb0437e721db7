"""The plan of a run: which segment follows which."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lmx_loadgen.profile import Profile


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of load on one target at one concurrency. `duration` is in seconds; `warmup` counts per slot."""

    segment: int
    target: str
    level: int
    concurrency: int
    block: int
    requests: int | None
    duration: float | None
    warmup: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def default_requests(concurrency: int) -> int:
    """How many requests a level has when the profile names neither requests nor a duration."""
    return max(10, 4 * concurrency)


def make_plan(profile: Profile, targets: Sequence[str]) -> list[Segment]:
    """The segments in the order they run: levels low to high, and at each level every target in turn."""
    load = profile.load
    segments: list[Segment] = []
    for level, concurrency in enumerate(load.concurrency):
        requests = load.requests
        if requests is None and load.duration is None:
            requests = default_requests(concurrency)
        for target in targets:
            segments.append(
                Segment(
                    segment=len(segments),
                    target=target,
                    level=level,
                    concurrency=concurrency,
                    block=0,
                    requests=requests,
                    duration=load.duration,
                    warmup=load.warmup,
                )
            )
    return segments
