"""Takes down a run: decodes each request as it ends, appends it to the event log, and tells the display."""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from lmx_loadgen import __version__
from lmx_loadgen.errors import StorageError
from lmx_loadgen.load.messages import FinishedRequest, SegmentEnd
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.jobs import PROBE_TOKENS, JobMaker
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.request_line import quick_look, request_line
from lmx_loadgen.session.resume import ResumeState
from lmx_loadgen.session.stop_rules import ErrorLimits
from lmx_loadgen.session.token_counter import TokenCounter
from lmx_loadgen.store.eventlog import NAME, SCHEMA, EventLog
from lmx_loadgen.system import host
from lmx_loadgen.system.api_keys import Keys
from lmx_loadgen.system.clock import NS, Anchor, now_ns
from lmx_loadgen.targets.base import Target


class View(Protocol):
    """What is shown while a run is on; it only ever reads."""

    def say(self, words: str) -> None: ...
    def start_segment(
        self, target: str, concurrency: int, total: int | None, duration: float | None, block: int | None = None
    ) -> None: ...
    def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None: ...
    def end_segment(self) -> None: ...


class Silent:
    """A view that shows nothing."""

    def say(self, words: str) -> None:
        pass

    def start_segment(
        self, target: str, concurrency: int, total: int | None, duration: float | None, block: int | None = None
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
        past: what was measured before, when the run is taken up again.
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
    ) -> None:
        self.folder = folder
        self._profile = profile
        self._rules = {target.name: target.dialect.rules for target in targets}
        self._keys = keys_of(targets)
        self._jobs = jobs
        self._view = view
        self._count = count
        self._segment: Segment | None = None
        self._phase: str | None = None
        self._next_id = resume_state.next_id if resume_state is not None else 0
        self.answered: set[str] = resume_state.answered if resume_state is not None else set()
        self.error_limits = ErrorLimits(profile.load.max_errors, profile.load.max_error_rate)
        self._log = log

    def begin(self, segment: Segment, *, phase: str | None = None) -> None:
        """From now on, what is sent belongs to this segment; with a `phase` of its own, it is in no level's figures."""
        self._segment, self._phase = segment, phase
        self.error_limits.begin(segment.target, segment.level)

    def host_state(self, when: str, state: dict[str, Any]) -> None:
        """Store how the machine does just before or after the segment."""
        assert self._segment is not None
        place = {"segment": self._segment.segment, "when": when}
        self._log.append({"type": "host", "at_ns": now_ns(), **place, "state": state})

    def measuring(self) -> None:
        """The warm-ups are done."""
        segment = self._segment
        assert segment is not None
        block = segment.block if len(self._rules) > 1 else None
        self._view.start_segment(segment.target, segment.concurrency, segment.requests, segment.duration, block)

    def sent(self, sent: FinishedRequest) -> None:
        """Store one request that has ended."""
        segment = self._segment
        assert segment is not None
        assert sent.segment == segment.segment
        _redact_response(sent, self._keys)
        line = request_line(
            sent,
            segment,
            id=self._next_id,
            prompt_id=self._jobs.prompt_id(sent.phase, sent.template),
            endpoint=self._profile.endpoint,
            rules=self._rules[segment.target],
            max_tokens=PROBE_TOKENS if self._phase == "probe" else self._profile.request.max_tokens,
            phase=self._phase,
            count=self._count,
            prompt_text=self._jobs.prompt_text(sent.phase, sent.template, sent.nonce) if self._count else "",
        )
        line = self._keys.redact_in({**line, "events": self._keys.redact_events(line["events"])})
        self._next_id += 1
        self._log.append(line)
        self.error_limits.note_outcome(line["outcome"], line["reason"])
        if line["outcome"] == "ok":
            self.answered.add(segment.target)
        if line["phase"] == "measured" and line["outcome"] != "cancelled":
            self._view.finished(*quick_look(line, self._rules[segment.target]))

    def end_segment(self, end: SegmentEnd) -> None:
        """Store the marks of the segment that has ended."""
        segment = self._segment
        assert segment is not None
        self._log.append(
            {
                "type": "segment",
                "segment": segment.segment,
                "target": segment.target,
                "level": segment.level,
                "concurrency": segment.concurrency,
                "block": segment.block,
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

    def check(self, target: Target, line: dict[str, Any]) -> None:
        """Store what came of something that a target was asked to do beside the load."""
        self._log.append({"type": "check", "at_ns": now_ns(), "target": target.name, **self._keys.redact_in(line)})

    def end(self, reason: str | None, joined: Sequence[dict[str, Any]] = ()) -> None:
        """Store the end line and close the log; a run with a `reason` is not complete. `joined` are others that
        measured on this machine at the same time."""
        how = {"complete": reason is None, "reason": reason and self._keys.redact(reason)}
        self._log.append({"type": "end", "end_ns": now_ns(), **how, "joined": list(joined)})
        self._log.close()


def header(
    profile: Profile,
    targets: Sequence[Target],
    plan: Sequence[Segment],
    instrument: dict[str, Any],
    run_id: str,
    anchor: Anchor,
    hypotheses: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The first line of an event log: all that is known before the first request."""
    keys = keys_of(targets)
    return {
        "type": "header",
        "schema": SCHEMA,
        "tool_version": __version__,
        "run_id": run_id,
        "clock": {"mono_ns": anchor.mono_ns, "unix_ns": anchor.unix_ns},
        "started_at": anchor.iso(anchor.mono_ns),
        "profile": profile.model_dump(mode="json"),
        "host": host.facts(),
        "versions": host.versions(),
        "instrument": instrument,
        "targets": [
            {
                "name": target.name,
                "dialect": target.dialect.name,
                "base_url": target.base_url,
                "model": keys.redact(target.model),
                "server": keys.redact_in(target.server),
                "notes": keys.redact_in(list(target.notes)),
                "hypothesis": keys.redact_in((hypotheses or {}).get(target.name)),
            }
            for target in targets
        ],
        "plan": [segment.as_dict() for segment in plan],
    }


def start_log(folder: Path, header: dict[str, Any]) -> EventLog:
    """A run's event log with its first line. Raises StorageError."""
    log = EventLog.create(folder / NAME)
    log.append(header)
    return log


def keys_of(targets: Sequence[Target]) -> Keys:
    """Every key that a request to one of the targets may carry."""
    return Keys.sent_in(*(headers for target in targets for headers in (target.headers, target.admin_headers)))


def _redact_response(sent: FinishedRequest, keys: Keys) -> None:
    """Mask the keys in what came back, before anything of it is read or cut."""
    if not keys:
        return
    timing = sent.timing
    timing.body = bytearray(keys.redact_bytes(bytes(timing.body)))
    timing.headers = [(name, keys.redact_bytes(value)) for name, value in timing.headers]


def new_run_id() -> str:
    return secrets.token_hex(4)


def make_folder(out: Path, targets: Sequence[str], run_id: str, anchor: Anchor) -> Path:
    """`<UTC time>-<targets>-<short id>` in `out`. Raises StorageError when it cannot be made."""
    moment = datetime.fromtimestamp(anchor.unix_ns / NS, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = re.sub(r"[^A-Za-z0-9+_-]", "_", "+".join(targets))[:60]
    folder = out / f"{moment}-{names}-{run_id}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the results folder {folder}: {error.strerror or error}; choose another with --out DIR"
        ) from None
    return folder
