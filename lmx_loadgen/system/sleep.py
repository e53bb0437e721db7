"""Keeping the machine from sleeping while it measures, and seeing afterwards whether it slept all the same."""

import contextlib
import os
import subprocess
from collections.abc import Iterator

from lmx_loadgen.system.clock import NS
from lmx_loadgen.system.probe import Probe

CAFFEINATE = "/usr/bin/caffeinate"
_END_WAIT_S = 1.0
# For each system a clock that goes on while the machine sleeps, and one that stops.
_CLOCKS = {"darwin": ("CLOCK_MONOTONIC_RAW", "CLOCK_UPTIME_RAW"), "linux": ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC")}


@contextlib.contextmanager
def prevented(probe: Probe | None = None) -> Iterator[None]:
    """Hold off idle sleep for the length of a block, on macOS; a closed lid still wins.

    The display may sleep: keeping it on takes power from the GPU. The assertion ends with this process in any case.
    """
    probe = probe or Probe()
    command = (CAFFEINATE, "-i", "-w", str(os.getpid()))
    child = probe.start(command) if probe.system == "darwin" else None
    try:
        yield
    finally:
        if child is not None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_END_WAIT_S)


def asleep_s(probe: Probe) -> float | None:
    """For how many seconds the machine has slept since it was started; None where its system does not tell."""
    through, awake = (probe.clock_ns(name) for name in _CLOCKS.get(probe.system, ("", "")))
    return None if through is None or awake is None else round((through - awake) / NS, 3)
