"""What stands for a text that was not kept (`--no-text`)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

_BEGIN = "not kept (--no-text), SHA-256 "


def digest(value: Any) -> str:
    """What stands for a text, or for a value with texts: it tells whether two runs asked for the same."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return f"{_BEGIN}{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


def has_digest(value: Any) -> bool:
    """Whether a digest stands for any text in a value."""
    return _BEGIN in json.dumps(value)


def digests(value: Any) -> Any:
    """The same value with a digest in place of each text in it."""
    if isinstance(value, str):
        return digest(value)
    if isinstance(value, Mapping):
        return {key: digests(one) for key, one in value.items()}
    return [digests(one) for one in value] if isinstance(value, Sequence) else value
