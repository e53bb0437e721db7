"""The machine as it can be asked: files, commands, clocks and a few calls, so that every branch is tested anywhere."""

import contextlib
import ctypes
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")
_WAIT_S = 2.0
_TEST_TIMER_S = 0.002
_TEST_TIMERS = 3


@dataclass(frozen=True)
class Probe:
    """How the machine is asked. No method raises: None is no answer.

    `arch` is what this process runs as, which under Rosetta is not what the machine is.
    """

    system: str = sys.platform
    arch: str = platform.machine()

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def free_bytes(self, path: Path) -> int | None:
        """What an ordinary user may still write to the disk that a folder, or the nearest one above it, is on; 0 where
        the user may not write there."""
        there = next((folder for folder in (path, *path.absolute().parents) if folder.is_dir()), None)
        try:
            return None if there is None else shutil.disk_usage(there).free if os.access(there, os.W_OK) else 0
        except OSError:
            return None

    def run(self, command: Sequence[str]) -> str | None:
        """What a command prints; None where it fails, is missing or takes over two seconds."""
        plain = {**os.environ, "LC_ALL": "C"}  # else some languages have decimal commas
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_WAIT_S, check=True, env=plain, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode(errors="replace").strip()

    def run_all(self, commands: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
        """Several commands at once, which take as long as the slowest of them."""
        with ThreadPoolExecutor(len(commands)) as pool:
            return dict(zip(commands, pool.map(self.run, commands.values()), strict=True))

    def start(self, command: Sequence[str]) -> "subprocess.Popen[bytes] | None":
        """A command left running in a session of its own."""
        quiet = subprocess.DEVNULL
        try:
            return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        except OSError:
            return None

    def clock_ns(self, name: str) -> int | None:
        """A clock by its name in `time`, such as CLOCK_BOOTTIME."""
        number = getattr(time, name, None)
        try:
            return None if number is None else time.clock_gettime_ns(number)
        except OSError:
            return None

    def priority(self, which: int) -> int | None:
        try:
            return os.getpriority(which, 0)
        except OSError:
            return None

    def scheduling_policy(self) -> int | None:
        """How this thread is scheduled, such as `os.SCHED_OTHER`; only Linux tells."""
        try:
            return os.sched_getscheduler(0) if self.system == "linux" else None
        except (AttributeError, OSError):
            return None

    def schedule(self, policy: int) -> None:
        """Have this thread scheduled otherwise, on Linux; a refusal leaves it as it was."""
        with contextlib.suppress(AttributeError, OSError):
            os.sched_setscheduler(0, policy, os.sched_param(0))

    def memory(self) -> Mapping[str, int]:
        """Bytes of memory: the `total`, and what is `available` to programs; empty where nobody tells."""
        found = _unless_unknown(lambda psutil: psutil.virtual_memory())
        return {} if found is None else {"total": found.total, "available": found.available}

    def swap_used_bytes(self) -> int | None:
        found = _unless_unknown(lambda psutil: psutil.swap_memory())
        return None if found is None else found.used

    def core_mhz(self) -> list[float]:
        """The clock of every core that runs, now; Apple's chips do not tell it."""
        found = _unless_unknown(lambda psutil: psutil.cpu_freq(percpu=True))
        return [core.current for core in found or () if core.current]

    def load_average(self) -> float | None:
        """Processes that ran or waited to run, on average over the last minute."""
        try:
            return os.getloadavg()[0]
        except OSError:
            return None

    def timer_late_s(self) -> float | None:
        """How late the promptest of three short timers was, in seconds; 6 ms to find out."""
        late = []
        for _ in range(_TEST_TIMERS):
            due = time.monotonic() + _TEST_TIMER_S
            time.sleep(_TEST_TIMER_S)
            late.append(time.monotonic() - due)
        return max(0.0, min(late))

    def libsystem(self) -> Any:
        """macOS's C library, as ctypes has it."""
        try:
            return ctypes.CDLL("/usr/lib/libSystem.B.dylib")
        except OSError:
            return None


def _unless_unknown(ask: Callable[[Any], _Answer]) -> _Answer | None:
    """What psutil answers; None where this system does not tell."""
    import psutil  # 15 ms, which only those that ask should pay

    try:
        return ask(psutil)
    except (OSError, RuntimeError, ValueError):  # RuntimeError: also NotImplementedError
        return None
