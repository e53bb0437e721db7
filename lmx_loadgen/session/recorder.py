"""The event log of a run: decodes each request as it ends, and appends what happened, with the keys masked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmx_loadgen.analysis.no_text import line_without_text
from lmx_loadgen.load.messages import FinishedRequest, SegmentEnd
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.request_line import RequestLook, redact_response, request_line
from lmx_loadgen.session.token_counter import TokenCounter
from lmx_loadgen.store.eventlog import EventLog
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.targets.base import Target, keys_of


class Recorder:
    """The event log of one run, from its header to its end line.

    Args:
        folder: the run's own folder.
        log: its event log, with the line that the run begins with.
        count: counts the tokens of a text, where the profile names a tokenizer.
        next_id: the first number that no request of the run has.
        samples: gives the lines of what runs beside the load that have come since it was called last.
        no_text: whether prompts and answers are left out of the log.
    """

    def __init__(
        self,
        folder: Path,
        log: EventLog,
        *,
        profile: Profile,
        targets: Sequence[Target],
        jobs: JobMaker,
        count: TokenCounter | None = None,
        next_id: int = 0,
        samples: Callable[[], list[dict[str, Any]]] = list,
        no_text: bool = False,
    ) -> None:
        self.folder = folder
        self._log = log
        self._profile = profile
        self._rules = {target.name: target.dialect.rules for target in targets}
        self._keys = keys_of(targets)
        self._jobs = jobs
        self._samples = samples
        self._stored = line_without_text if no_text else dict
        self._count = count
        self._next_id = next_id

    def request(self, sent: FinishedRequest, segment: Segment) -> dict[str, Any]:
        """Store one request of a segment that has ended, and give its line."""
        assert sent.segment == segment.key.text
        redact_response(sent, self._keys)
        decoded = request_line(
            sent,
            segment,
            id=self._next_id,
            prompt_id=self._jobs.prompt_id(segment.key, sent.phase, sent.template),
            endpoint=self._profile.endpoint,
            rules=self._rules[segment.target],
            max_tokens=self._jobs.max_tokens(segment.key),
            count=self._count,
            prompt_text=self._prompt_text(sent, segment) if self._count else "",
        )
        redacted = self._keys.redact_in({**decoded, "events": self._keys.redact_events(decoded["events"])})
        line = self._stored(redacted)
        self._next_id += 1
        self._log.append(line)
        return line

    def look(self, segment: Segment) -> RequestLook:
        """What tells how a request of a segment ended, where it is measured by another machine."""
        return RequestLook(segment, self._profile.endpoint, self._rules[segment.target], self._keys)

    def _prompt_text(self, sent: FinishedRequest, segment: Segment) -> str:
        return self._jobs.prompt_text(segment.key, sent.phase, sent.template, sent.nonce)

    def segment_end(self, segment: Segment, end: SegmentEnd) -> None:
        """Store the marks of a segment that has ended, and the samples that were taken beside it."""
        self._store_samples()
        self._log.append(
            {
                "type": "segment",
                **segment.key.as_dict(),
                "start_ns": end.start_ns,
                "ramp_end_ns": end.ramp_end_ns,
                "drain_start_ns": end.drain_start_ns,
                "end_ns": end.end_ns,
                "stopped": end.stopped and end.stopped.message,
                "stop_kind": end.stopped and end.stopped.kind,
                "client": {
                    "cpu_share": end.cpu_share,
                    "cpu_s": end.cpu_s,
                    "peak_rss_bytes": end.peak_rss_bytes,
                    "lag_max_ns": end.lag_max_ns,
                },
                **({"nodes": [asdict(node) for node in end.nodes]} if end.nodes else {}),
            }
        )
        self._log.begin_sync()  # the next segment need not wait for the disk

    def host_state(self, segment: Segment, when: str, state: Mapping[str, Any]) -> None:
        """Store how the machine does just before or after a segment."""
        place = segment.key.as_dict()
        self._log.append({"type": "host", "at_ns": now_ns(), **place, "when": when, "state": dict(state)})

    def measure_again(self, point: LoadPoint, block: int) -> None:
        """Store that a round is measured again: what was stored of its segments is void."""
        self._log.append({"type": "again", "at_ns": now_ns(), "load_point": point.model_dump(), "block": block})

    def check(self, target: Target, line: dict[str, Any]) -> None:
        """Store the outcome of a check of a target."""
        whole = {"type": "check", "at_ns": now_ns(), "target": target.name, **self._keys.redact_in(line)}
        self._log.append(self._stored(whole))

    def end(self, reason: str | None, joined: Sequence[dict[str, Any]] = ()) -> None:
        """Store the end line; a run with a `reason` is not complete. `joined` are others that measured on this machine
        at the same time."""
        self._store_samples()
        ending = {"complete": reason is None, "reason": reason and self._keys.redact(reason)}
        self._log.append({"type": "end", "end_ns": now_ns(), **ending, "joined": list(joined)})
        self._log.begin_sync()

    def close(self) -> None:
        """Wait until the log is on the disk, and close it."""
        self._log.close()

    def _store_samples(self) -> None:
        for line in self._samples():
            self._log.append(line)
