"""A process that keeps another one, and ends it with all that it started once nobody wants it any more.

    python -m lmx_loadgen.system.keeper   (what to start comes as a line of JSON on standard input)

Whoever started the keeper holds its standard input. When that closes, on purpose or because its holder was killed, the
kept process is asked to end, and is killed with everything it left behind where it does not. It has a group of its own,
so that Ctrl-C in the terminal is not meant for it. On Linux the kernel kills it even if the keeper is killed, and its
orphans stay with the keeper; elsewhere a process that leaves its group and its parent is not found.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

POLITE_S = 10.0
_LOOK_S = 0.1
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> int:
    """Start what is asked for, tell its number, wait, and end it. The words on standard output are `STARTED pid`,
    `EXITED code` where it ended by itself, and `FAILED why` where it cannot be started."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # What ends it is its standard input. A handler, since what is ignored would be by the kept process as well.
        signal.signal(number, _pass_over)
    asked = json.loads(sys.stdin.readline() or "null")
    if asked is None:
        return 1
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        with open(asked["log"], "ab") as log:
            process = subprocess.Popen(
                asked["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_dies_with_parent() if sys.platform == "linux" else None,
            )
    except OSError as error:
        _say(f"FAILED {error.strerror or error}")
        return 1
    _say(f"STARTED {process.pid}")
    try:
        if (code := _wait(process)) is not None:
            _say(f"EXITED {code}")
            sys.stdin.read()
    finally:
        end(process)
    return 0


def _wait(process: "subprocess.Popen[bytes]") -> int | None:
    """Until it ends by itself (its exit code), or standard input is closed."""
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], _LOOK_S)
        if readable and not os.read(sys.stdin.fileno(), 1024):
            return None
        if (code := process.poll()) is not None:
            return code


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process, its group and all that came of it: politely first, and by force what is left then."""
    family, ends = _family(process.pid), time.monotonic() + POLITE_S
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    for one in family:
        with suppress(psutil.Error):
            one.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(POLITE_S)
    psutil.wait_procs(family, max(_LOOK_S, ends - time.monotonic()))
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for one in {*family, *_family(process.pid), *_family(os.getpid())}:
        with suppress(psutil.Error):
            one.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(POLITE_S)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _dies_with_parent() -> Callable[[], None]:
    """What a child does before it becomes the command: it asks to be killed when its parent is."""
    library = ctypes.CDLL(None, use_errno=True)
    return lambda: library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) and None


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(option, value)


def _pass_over(number: int, frame: object) -> None:
    pass


def _say(words: str) -> None:
    with suppress(OSError):
        print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
