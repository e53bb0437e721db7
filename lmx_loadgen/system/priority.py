"""Who goes first on this machine: measuring before decoding, and a check that neither is in the background.

macOS chooses cores by a thread's quality of service, not by `nice`. On Linux a thread of `SCHED_BATCH` does not push
another one off its core when it wakes, which cost the median first token 3 µs of error with 64 streams on two cores;
unlike a lower `nice` or `SCHED_IDLE`, an ordinary user may take it back.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from lmx_loadgen.system.probe import Probe

# `os.SCHED_OTHER` and `os.SCHED_BATCH`, which only Linux has.
_OTHER, _BATCH = 0, 3
_USER_INTERACTIVE, _DEFAULT, _UTILITY = 0x21, 0x15, 0x11
_PRIO_DARWIN_PROCESS = 4  # `os.PRIO_DARWIN_PROCESS` from Python 3.12 on
# Timers of a process in the background are up to 100 ms late, those of others at most one.
_BACKGROUND_LATE_S = 0.02


def measure_first(probe: Probe | None = None) -> None:
    """Put this thread, which measures, before all others: on fast cores, where there are several kinds."""
    probe = probe or Probe()
    if probe.system == "darwin" and (libsystem := probe.libsystem()) is not None:
        _set(libsystem, _USER_INTERACTIVE)
    elif probe.scheduling_policy() == _BATCH:  # inherited from who started it
        probe.schedule(_OTHER)


def giving_way(probe: Probe | None = None) -> contextlib.AbstractContextManager[None]:
    """Have this thread give way for the length of a block: what it does can wait, arrivals cannot."""
    return _at(_UTILITY, _BATCH, probe or Probe())


def measuring(probe: Probe | None = None) -> contextlib.AbstractContextManager[None]:
    """Have this thread go first for the length of a block, in which it measures itself."""
    return _at(_USER_INTERACTIVE, _OTHER, probe or Probe())


@contextlib.contextmanager
def _at(quality: int, policy: int, probe: Probe) -> Iterator[None]:
    """A quality of service on macOS, a scheduling policy on Linux; a thread whose policy is none of ours keeps it."""
    libsystem = probe.libsystem() if probe.system == "darwin" else None
    if libsystem is not None:
        before = libsystem.qos_class_self()
        _set(libsystem, quality)
        try:
            yield
        finally:
            _set(libsystem, before or _DEFAULT)
        return
    found = probe.scheduling_policy()
    if found not in (_OTHER, _BATCH):
        yield
        return
    probe.schedule(policy)
    try:
        yield
    finally:
        probe.schedule(found)


def _set(libsystem: Any, quality: int) -> None:
    libsystem.pthread_set_qos_class_self_np(quality, 0)  # a refusal leaves the thread as it was


def background(probe: Probe) -> dict[str, Any]:
    """Whether this process is in the background, by its own priority or by how late its timers are.

    A priority that another process or launchd imposed does not show, but then timers are late. Only macOS has this
    state; elsewhere nothing is said.
    """
    if probe.system != "darwin":
        return {}
    priority, late_s = probe.priority(_PRIO_DARWIN_PROCESS), probe.timer_late_s()
    is_late = late_s is not None and late_s > _BACKGROUND_LATE_S
    known = priority is not None or late_s is not None
    return {"background": bool(priority) or is_late if known else None, "timer_late_s": late_s}
