"""Linux's timer that is a file (timerfd), as far as Python before 3.13 does not have it itself."""

import ctypes
import functools
import os
import sys
from typing import Any

from lmx_loadgen.system.clock import NS

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def is_available() -> bool:
    """Whether this system has it."""
    if sys.platform != "linux":
        return False
    try:
        os.close(create())
    except (OSError, AttributeError):
        return False
    return True


def create() -> int:
    """A descriptor that can be read once the moment has come that it is set to. Raises OSError."""
    fd: int = _libc().timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return fd


def set_to(fd: int, moment_ns: int) -> None:
    """Set it to a moment of the run's clock; one that has passed already ends the wait at once. Raises OSError."""
    moment = _Timespec(*divmod(max(1, moment_ns), NS))
    if _libc().timerfd_settime(fd, _ABSOLUTE, ctypes.byref(_Itimerspec(_Timespec(0, 0), moment)), None):
        raise OSError(ctypes.get_errno(), "timerfd_settime")
