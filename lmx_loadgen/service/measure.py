"""The measuring process of an app: `python -m lmx_loadgen.service.measure`.

It does whole runs, one after the other, so that neither decoding nor statistics take time from the app, which may be
the very server that is measured. Jobs come in on stdin, replies go out on stdout. When stdin ends, the app is gone:
the run at hand stops in good order, and so does this process.
"""

import contextlib
import os
import queue
import sys
import threading
from pathlib import Path

from lmx_loadgen.errors import (
    Busy,
    InputError,
    Interrupted,
    LoadgenError,
    ModelNotLoaded,
    ProfileError,
    StorageError,
    TargetError,
)
from lmx_loadgen.load.standby import Standby
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.service.messages import MeasureJob, MeasureReply, StopRun, Trouble
from lmx_loadgen.session.calibrated import stored_calibration
from lmx_loadgen.session.course import record
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.outcome import Recorded, store_outcome
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.token_counter import token_counter
from lmx_loadgen.session.view import Silent
from lmx_loadgen.store.eventlog import NAME
from lmx_loadgen.store.imported import OURS
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.system import lock
from lmx_loadgen.targets.recognize import KnownServers

_TROUBLES: tuple[tuple[type[LoadgenError], Trouble], ...] = (
    (ModelNotLoaded, "model_not_loaded"),
    (Busy, "busy"),
    (Interrupted, "interrupted"),
    (TargetError, "target"),
    (InputError, "request"),
    (StorageError, "not_stored"),
)


def measured(
    job: MeasureJob, stop: StopFlag, standby: Standby, known: KnownServers
) -> tuple[MeasureReply, Recorded | None]:
    """Do one run. Whatever keeps it from being done is in the reply; what was recorded has no `result.json` yet, and
    its log is still to be closed."""
    try:
        with lock.acquire(allow_concurrent=False) as locked:
            options = Options(
                out=job.runs_folder,
                probe_cache=False,
                count_tokens=True,
                no_text=job.no_text,
                lock=locked,
                start_worker=standby.start,
                known_servers=known,
            )
            recorded = record(
                job.asked.profile(job.target, _usable_tokenizer(job)),
                options,
                stop=stop,
                base_dir=Path("/"),
                view=Silent(),
                calibrated=stored_calibration(options),
            )
    except LoadgenError as error:
        return _failure(error), None
    try:
        return _reply(recorded), recorded
    except LoadgenError as error:
        return _failure(error), recorded


def _failure(error: LoadgenError) -> MeasureReply:
    trouble: Trouble = next((name for kind, name in _TROUBLES if isinstance(error, kind)), "other")
    return MeasureReply(trouble=trouble, words=str(error), since=error.since if isinstance(error, Busy) else None)


def _usable_tokenizer(job: MeasureJob) -> str | None:
    if job.tokenizer is not None and job.is_tokenizer_found:
        try:
            token_counter(job.tokenizer, Path("/"))
        except ProfileError:
            return None
    return job.tokenizer


def _reply(recorded: Recorded) -> MeasureReply:
    """What came of a run, with what was measured before an error or a stop. Raises ResultError."""
    from lmx_loadgen.analysis.plan_counts import plan_result

    found = plan_result(read_log(recorded.folder / NAME))
    result = None if found is None else found.model_copy(update={"origin": OURS})
    if recorded.error is not None:
        return _failure(recorded.error).model_copy(update={"result": result})
    if recorded.stop is not None and recorded.stop.is_interruption:
        return MeasureReply(result=result, trouble="interrupted", words=recorded.stop.message)
    return MeasureReply(
        result=result, trouble=None if result is not None else "other", words="interrupted before anything was measured"
    )


class _Inbox:
    """What comes from the app: jobs wait in line, a word to stop is for the newest of them."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[tuple[MeasureJob, StopFlag] | None] = queue.SimpleQueue()
        self._newest = StopFlag()

    def listen(self) -> None:
        """Read until the app is gone."""
        for line in sys.stdin.buffer:
            if line.startswith(b'{"stop":'):
                self._newest.set(Stop("interrupted", StopRun.model_validate_json(line).stop))
            else:
                self._newest = StopFlag()
                self.jobs.put((MeasureJob.model_validate_json(line), self._newest))
        self._newest.set(Stop("interrupted", "the app that asked for it has ended"))
        self.jobs.put(None)


def _import_ahead() -> None:
    """What a first run would have to wait for."""
    import scipy.special  # noqa: F401

    import lmx_loadgen.analysis.plan_counts
    import lmx_loadgen.session.token_count  # noqa: F401


def main() -> None:
    # Whatever prints must not get between the replies.
    out_fd = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    inbox, standby, known = _Inbox(), Standby(), KnownServers()
    threading.Thread(target=inbox.listen, daemon=True).start()
    _import_ahead()
    while (asked := inbox.jobs.get()) is not None:
        reply, recorded = measured(*asked, standby, known)
        with contextlib.suppress(BrokenPipeError):  # then stdin ends too
            _write(out_fd, reply.model_dump_json().encode() + b"\n")
        if recorded is not None:  # nobody waits for the disk and for what else is made of the run
            with contextlib.suppress(LoadgenError):
                store_outcome(recorded)
    standby.close()


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    main()
