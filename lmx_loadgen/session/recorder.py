"""Records a run: decodes each request as it ends, appends it to the event log, and updates the display."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from lmx_loadgen.analysis.conditions import SLEPT_S
from lmx_loadgen.analysis.delays import may_be_delayed
from lmx_loadgen.load.messages import FinishedRequest, SegmentEnd
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.jobs import PROBE_TOKENS, JobMaker
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.request_line import quick_look, request_line
from lmx_loadgen.session.resume import ResumeState
from lmx_loadgen.session.stop_rules import ErrorLimits
from lmx_loadgen.session.token_counter import TokenCounter
from lmx_loadgen.store.eventlog import EventLog
from lmx_loadgen.system.api_keys import Keys
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.targets.base import Target, keys_of


class View(Protocol):
    """What is shown while a run is on; it only ever reads."""

    def say(self, words: str) -> None: ...
    def start_segment(
        self, target: str, load_point: LoadPoint, total: int | None, duration: float | None, block: int | None = None
    ) -> None: ...
    def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None: ...
    def end_segment(self) -> None: ...


class Silent:
    """A view that shows nothing."""

    def say(self, words: str) -> None:
        pass

    def start_segment(
        self, target: str, load_point: LoadPoint, total: int | None, duration: float | None, block: int | None = None
    ) -> None:
        pass

    def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None:
        pass

    def end_segment(self) -> None:
        pass


class Recorder:
    """The event log of one run, from its header to its end line.

    Args:
        folder: the run's own folder.
        log: its event log, with the line that the run begins with.
        count: counts the tokens of a text, where the profile names a tokenizer.
        resume_state: what was measured before, when the run is resumed.
        samples: gives the lines of what runs beside the load that have come since it was called last.
    """

    def __init__(
        self,
        folder: Path,
        log: EventLog,
        *,
        profile: Profile,
        targets: Sequence[Target],
        jobs: JobMaker,
        view: View,
        count: TokenCounter | None = None,
        resume_state: ResumeState | None = None,
        samples: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self.folder = folder
        self._profile = profile
        self._rules = {target.name: target.dialect.rules for target in targets}
        self._keys = keys_of(targets)
        self._jobs = jobs
        self._samples = samples
        self._view = view
        self._count = count
        self._segment: Segment | None = None
        self._next_id = resume_state.next_id if resume_state is not None else 0
        self.answered: set[str] = resume_state.answered if resume_state is not None else set()
        self.error_limits = ErrorLimits(profile.load.max_errors, profile.load.max_error_rate)
        self.delayed_blocks: set[tuple[LoadPoint, int]] = set()
        self._asleep_s: Any = None
        self._log = log

    def begin(self, segment: Segment) -> None:
        """From now on, what is sent belongs to this segment."""
        self._segment = segment
        self.error_limits.begin(segment.key)

    def host_state(self, when: str, state: dict[str, Any]) -> None:
        """Store how the machine does just before or after the segment."""
        assert self._segment is not None
        place = self._segment.key.as_dict()
        self._log.append({"type": "host", "at_ns": now_ns(), **place, "when": when, "state": state})
        asleep_s = state.get("asleep_s")
        if when == "before":
            self._asleep_s = asleep_s
        elif when == "after" and None not in (asleep_s, self._asleep_s) and asleep_s - self._asleep_s > SLEPT_S:
            self.delayed_blocks.add((self._segment.load_point, self._segment.block))

    def measuring(self) -> None:
        """The warm-ups are done."""
        segment = self._segment
        assert segment is not None
        block = segment.block if len(self._rules) > 1 else None
        self._view.start_segment(segment.target, segment.load_point, segment.requests, segment.duration, block)

    def sent(self, sent: FinishedRequest) -> None:
        """Store one request that has ended."""
        segment = self._segment
        assert segment is not None
        assert sent.segment == segment.key.text
        _redact_response(sent, self._keys)
        line = request_line(
            sent,
            segment,
            id=self._next_id,
            prompt_id=self._jobs.prompt_id(sent.phase, sent.template),
            endpoint=self._profile.endpoint,
            rules=self._rules[segment.target],
            max_tokens=PROBE_TOKENS if segment.key.phase == "probe" else self._profile.request.max_tokens,
            count=self._count,
            prompt_text=self._jobs.prompt_text(sent.phase, sent.template, sent.nonce) if self._count else "",
        )
        line = self._keys.redact_in({**line, "events": self._keys.redact_events(line["events"])})
        self._next_id += 1
        self._log.append(line)
        self.error_limits.note_outcome(line["outcome"], line["reason"])
        if line["phase"] == "measured" and may_be_delayed(line):
            self.delayed_blocks.add((segment.load_point, segment.block))
        if line["outcome"] == "ok":
            self.answered.add(segment.target)
        if line["phase"] == "measured" and line["outcome"] != "cancelled":
            self._view.finished(*quick_look(line, self._rules[segment.target]))

    def end_segment(self, end: SegmentEnd) -> None:
        """Store the marks of the segment that has ended, and the samples that were taken beside it."""
        segment = self._segment
        assert segment is not None
        self._store_samples()
        self._log.append(
            {
                "type": "segment",
                **segment.key.as_dict(),
                "start_ns": end.start_ns,
                "ramp_end_ns": end.ramp_end_ns,
                "drain_start_ns": end.drain_start_ns,
                "end_ns": end.end_ns,
                "stopped": end.stopped,
                "client": {
                    "cpu_share": end.cpu_share,
                    "cpu_s": end.cpu_s,
                    "peak_rss_bytes": end.peak_rss_bytes,
                    "lag_max_ns": end.lag_max_ns,
                },
            }
        )
        self._log.sync()
        self._view.end_segment()

    def measure_again(self, point: LoadPoint, block: int) -> None:
        """Store that a round is measured again: what was stored of its segments is void."""
        self.delayed_blocks.discard((point, block))
        self._log.append({"type": "again", "at_ns": now_ns(), "load_point": point.model_dump(), "block": block})

    def check(self, target: Target, line: dict[str, Any]) -> None:
        """Store the outcome of a check of a target."""
        self._log.append({"type": "check", "at_ns": now_ns(), "target": target.name, **self._keys.redact_in(line)})

    def end(self, reason: str | None, joined: Sequence[dict[str, Any]] = ()) -> None:
        """Store the end line and close the log; a run with a `reason` is not complete. `joined` are others that
        measured on this machine at the same time."""
        self._store_samples()
        ending = {"complete": reason is None, "reason": reason and self._keys.redact(reason)}
        self._log.append({"type": "end", "end_ns": now_ns(), **ending, "joined": list(joined)})
        self._log.close()

    def _store_samples(self) -> None:
        for line in self._samples():
            self._log.append(line)


def _redact_response(sent: FinishedRequest, keys: Keys) -> None:
    """Mask the keys in what came back, before anything of it is read or cut."""
    if not keys:
        return
    timing = sent.timing
    timing.body = bytearray(keys.redact_bytes(bytes(timing.body)))
    timing.headers = [(name, keys.redact_bytes(value)) for name, value in timing.headers]
