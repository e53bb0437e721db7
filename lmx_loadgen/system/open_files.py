"""The limit on open files: each connection is one, and shells on macOS allow 256."""

import contextlib
import resource

from lmx_loadgen.errors import InputError

_WANTED = 65_536
_FALLBACK = 10_240  # what the smallest Mac's kernel allows a process
# Open beside the connections: pipes, the event loop's own, libraries, the log.
_BESIDE = 64


def raise_limit() -> int:
    """Raise this process's soft limit as far as a load may need; how many files it may have open now.

    Processes started later inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (_WANTED, _FALLBACK):
        wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _WANTED if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """How many connections this process, or one that it starts, may have open at once."""
    return max(0, raise_limit() - _BESIDE)


def require(connections: int, what: str, instead: str = "lower the load") -> None:
    """Raises InputError where a process cannot open as many connections as `what` needs, with what helps: a higher
    limit, or what can be done `instead`."""
    if connections <= most_connections():
        return
    limit, needed = raise_limit(), connections + _BESIDE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        help_ = f"run `ulimit -S -n {needed}` in this shell first"
    else:
        help_ = f"as root, raise the hard limit with `ulimit -H -n {needed}`, then run `ulimit -S -n {needed}`"
    raise InputError(f"{what} needs {needed} open files, and this process may have {limit}: {help_}, or {instead}")
