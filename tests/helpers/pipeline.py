"""The tool from its plan to its event log, for one target and one load at a time, on one measuring process."""

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmx_loadgen.load.driver import Driver, WorkerProcess
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.models import Load, Profile, Prompts, Request, Timeouts
from lmx_loadgen.profile.prompts import prompt_book
from lmx_loadgen.session.history import History
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.recorder import Recorder
from lmx_loadgen.session.run_log import header, start_log
from lmx_loadgen.session.segment_run import Parts, SegmentRun
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.stop_rules import StopRules
from lmx_loadgen.session.view import Silent
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.system.clock import Anchor
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target
from lmx_loadgen.wire.stamps import StampSource, kernel_stamps_available

MOST_S = 30.0
STAMPS = StampSource.KERNEL if kernel_stamps_available() else StampSource.LOOP


def target_at(url: str, headers: Mapping[str, str] | None = None, dialect: str = "openai") -> Target:
    """A target as `prepare` would have found it."""
    return Target("here", DIALECTS[dialect], url, "sim-model", {"version": None}, headers=headers or {})


class Deadline(StopFlag):
    """Sets itself after `MOST_S` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._ends = time.monotonic() + MOST_S

    @property
    def why(self) -> Stop | None:
        if time.monotonic() > self._ends:
            self.set()
        return super().why


class Pipeline:
    """Sends loads one after the other. Whatever happens, one is stopped after `MOST_S` seconds, as by Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self.worker = WorkerProcess("uvloop", STAMPS)
        self._driver = Driver([self.worker])
        self._driver.wait_ready()

    def record(
        self,
        target: Target,
        timeouts: Mapping[str, float] | None = None,
        *,
        insecure: bool = False,
        ca_file: str | None = None,
        tokens: int = 6,
        prompt: str = "What can go wrong?",
        **load: Any,
    ) -> LogContents:
        """The event log of one segment; without `load`, of one request."""
        profile = Profile(
            load=Load(**{"requests": 1, "warmup": 0, **load}),
            prompts=Prompts(text=prompt),
            request=Request(max_tokens=tokens),
            timeouts=Timeouts(**dict.fromkeys(("connect", "first_token", "gap", "request"), MOST_S) | (timeouts or {})),
        )
        jobs = JobMaker(profile, prompt_book(profile.prompts, Path.cwd()), "f", insecure=insecure, ca_file=ca_file)
        number = next(self._numbers)
        (point,) = profile.load.points()
        segment = Segment(
            SegmentKey(target.name, point, 0), profile.load.requests, profile.load.duration, profile.load.warmup
        )
        folder = self._folder / f"{number}"
        folder.mkdir()
        head = header(profile, [target], [segment], {"loop": "uvloop"}, "f", Anchor.take())
        recorder = Recorder(folder, start_log(folder, head), profile=profile, targets=[target], jobs=jobs)
        rules, stop = StopRules(profile), Deadline()
        parts = Parts(self._driver, recorder, History(), rules, stop, Silent(), host_state=dict)
        SegmentRun(segment, target, parts).measure(jobs.jobs(segment, target, 1), 0)
        recorder.end(None)
        recorder.close()
        log = read_log(folder / "events.jsonl")
        assert log.notes == []
        return log

    def close(self) -> None:
        self._driver.close()


@contextmanager
def pipeline(folder: Path) -> Iterator[Pipeline]:
    """A pipeline that ends with the block."""
    running = Pipeline(folder)
    try:
        yield running
    finally:
        running.close()
