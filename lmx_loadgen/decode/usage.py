"""Token counts as servers state them in `usage`."""

from typing import Any


def usage_counts(usage: dict[str, Any] | None) -> tuple[int | None, int | None, int | None]:
    """(prompt, output, cached) tokens of a usage object; None where it has no count that can be one.

    A missing `cached_tokens` is unknown, not 0.
    """
    if not isinstance(usage, dict):
        return None, None, None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached)


def _count(value: Any) -> int | None:
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if sane else None
