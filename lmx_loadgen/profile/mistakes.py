"""What pydantic finds wrong with a user's own values, as one sentence for each mistake."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

_MOST = 10
_LONGEST_VALUE = 60
# An unknown key of a model or typed dictionary, and of a dataclass.
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def mistakes(
    problem: ValidationError,
    data: Any,
    where: Callable[[str], str],
    known: Callable[[Sequence[Any]], Sequence[str]],
    secret: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """By dotted key what is wrong with it: `where`, what, and the value that was given.

    `data` is what was validated, `where` how a user finds a dotted key, and `known` the keys that are allowed below a
    path. `secret` is by key what to say of it whatever is wrong, since its value must not be shown.
    """
    sentences: dict[str, str] = {}
    for error in problem.errors(include_url=False):
        path = list(_path(error["loc"], data))
        dotted = ".".join(map(str, path))
        sentences.setdefault(dotted, f"{where(dotted)}: {_words(error, path, known, secret or {})}")
    return sentences


def joined(sentences: Mapping[str, str]) -> str:
    """The mistakes one after the other, and how many more there are beyond the first ten."""
    listed = list(sentences.values())
    more = f"; and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
    return "; ".join(listed[:_MOST]) + more


def _path(loc: tuple[Any, ...], data: Any) -> Iterator[Any]:
    """The keys and places of an error that are the user's own; pydantic's names of unions and validators are not."""
    for place, part in enumerate(loc):
        if (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            data = data[part]
        elif place < len(loc) - 1 or not isinstance(data, dict):
            continue
        yield part


def _words(
    error: Any, path: Sequence[Any], known: Callable[[Sequence[Any]], Sequence[str]], secret: Mapping[str, str]
) -> str:
    if error["type"] in _UNKNOWN:
        allowed = known(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key{hint} (allowed: {', '.join(allowed)})"
    if path and path[-1] in secret:
        return secret[path[-1]]
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}, got {_shown(error.get('input'))}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "…"
