"""Keys stay out of all that is stored or shown, also where a server sends them back.

They are masked where a server's words come in: the bytes of an answer before it is read, so that nothing is cut in the
middle of a key first, and what was read of it afterwards, so that a key sent in pieces, compressed or escaped is found
too. A mask is as long as what it hides: no count of bytes or characters changes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

_HEADERS = frozenset({"authorization", "x-api-key", "x-admin-key"})
# What servers without keys have people put there. It is no secret, and often the name of the server itself.
_PLACEHOLDERS = frozenset({"lm-studio", "lmstudio", "ollama", "not-needed", "no-key", "no-key-required", "sk-no-key"})
_MIN_LENGTH = 6
_READ_TOGETHER = (
    frozenset({"content", "reasoning", "tool", "error"}),
    frozenset({"content", "reasoning"}),
    frozenset({"content"}),
    frozenset({"reasoning"}),
    frozenset({"tool"}),
)

Event = tuple[int, str, str] | list[Any]


class Keys:
    """The keys of a run. Those under six characters, and what is customary where no key is needed, hide nothing:
    they are no secrets, and stand in the names of servers and models.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        secret = {key for key in keys if len(key) >= _MIN_LENGTH and key.lower() not in _PLACEHOLDERS}
        self._keys = sorted(secret, key=lambda key: (-len(key), key))
        self._bytes = [key.encode() for key in self._keys]

    @classmethod
    def sent_in(cls, *headers: Mapping[str, str]) -> "Keys":
        """The keys that these request headers carry."""
        values = [value for part in headers for name, value in part.items() if name.lower() in _HEADERS]
        return cls(value.removeprefix("Bearer ").strip() for value in values)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def redact(self, text: str) -> str:
        """The text with every key in it masked."""
        for key in self._keys:
            if key in text:
                text = text.replace(key, "*" * len(key))
        return text

    def redact_bytes(self, data: bytes) -> bytes:
        """The same for bytes."""
        for key in self._bytes:
            if key in data:
                data = data.replace(key, b"*" * len(key))
        return data

    def redact_in(self, value: Any) -> Any:
        """The same for plain data: every text in it, names of fields included."""
        if not self._keys:
            return value
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Mapping):
            return {self.redact_in(name): self.redact_in(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_in(part) for part in value]
        return value

    def redact_events(self, events: Sequence[Event]) -> list[list[Any]]:
        """Events `[arrival, kind, text]` with every key masked, also where only their joined texts hold it."""
        masked = [list(event) for event in events]
        for kinds in _READ_TOGETHER if self._keys else ():
            self._redact_across(masked, kinds)
        return masked

    def _redact_across(self, events: list[list[Any]], kinds: Collection[str]) -> None:
        chosen = [event for event in events if event[1] in kinds]
        whole = "".join(event[2] for event in chosen)
        masked = self.redact(whole)
        if masked == whole:
            return
        start = 0
        for event in chosen:
            size = len(event[2])
            event[2] = masked[start : start + size]
            start += size


def without_keys(environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The environment for a child process: no variable of these names, and none that holds the value of one."""
    values = {environment[name].strip() for name in names if environment.get(name, "").strip()}
    return {name: value for name, value in environment.items() if name not in names and value.strip() not in values}
