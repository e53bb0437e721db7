"""Reads durations and shares as people write them."""

import re
from typing import Any

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\Z")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(value: Any) -> float:
    """A duration in seconds from a number of seconds or a text like "500ms", "30s", "2m", "1h".

    Raises ValueError for anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number of seconds or a duration like 500ms, 30s, 2m")
    return float(match[1]) * _UNIT_S[match[2]]


def seconds_or_auto(value: Any) -> Any:
    return value if value == "auto" else seconds(value)


def share(value: Any) -> Any:
    """A share from 0.2, "0.2" or "20%". Other types are left to the field's own check. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("must be a share like 0.2 or 20%")
    if not isinstance(value, str):
        return value
    try:
        return float(value.strip()[:-1]) / 100 if value.strip().endswith("%") else float(value)
    except ValueError:
        raise ValueError("must be a share like 0.2 or 20%") from None
