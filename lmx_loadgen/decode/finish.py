"""Finish reasons: the words by which servers say how an answer ended."""

from typing import Any

from lmx_loadgen.decode.errors import plain

# Finish reasons by which a server says that it gave an answer up. Any other word is an end: new ones come up.
_GIVEN_UP = frozenset(
    {"abort", "aborted", "cancel", "cancelled", "canceled", "error", "exception", "failed", "failure", "interrupted",
     "disconnect", "disconnected", "killed", "load", "unload", "unloaded", "shutdown", "preempted", "evicted",
     "timeout", "timed_out", "time_out", "deadline_exceeded", "insufficient_system_resource", "overloaded", "oom"}
)  # fmt: skip
_NO_WORD = frozenset({"", "null", "none"})


def finish_word(value: Any) -> str | None:
    """A finish reason as the server named it, which may be an object; None where it named none."""
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    if not isinstance(value, str) or value.strip().lower() in _NO_WORD:
        return None
    return plain(value, 40) or None


def is_given_up(word: str) -> bool:
    """Whether this finish reason says that the answer was not brought to its end."""
    known = word.strip().lower().replace("-", "_").replace(" ", "_")
    return known in _GIVEN_UP or known.endswith("_error") or known.startswith("abort")
