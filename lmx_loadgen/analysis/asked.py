"""Whether two runs asked for the same: endpoint, prompts and request settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.analysis.digest import digests

_PARTS = ("endpoint", "prompts", "request")
# Where prompts come from. The same ones may lie in files of two names, and others in one of the same name.
_SOURCES = ("lengths", "text", "file", "column", "sample")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run asked for: its profile, and the hash of its prompts' content, None where the run does not tell it."""

    profile: Mapping[str, Any]
    prompts_hash: str | None

    def differences(self, other: "Asked") -> Iterator[tuple[str, Any, Any]]:
        """What is not the same, as a name and both values. Prompts are compared by their content where both runs tell
        its hash, else by where they came from."""
        hashes = (self.prompts_hash, other.prompts_hash)
        is_content_known = None not in hashes
        ignored = {f"prompts.{name}" for name in _SOURCES} if is_content_known and hashes[0] == hashes[1] else set()
        found = [
            difference
            for part in _PARTS
            for difference in _differences(self.profile.get(part), other.profile.get(part), part)
        ]
        yield from (difference for difference in found if difference[0] not in ignored)
        if is_content_known and hashes[0] != hashes[1]:
            yield "the prompts' content", *hashes


def asked_of(header: Mapping[str, Any]) -> Asked:
    """What the run of an event log asked for, by the log's header."""
    return Asked(header["profile"], prompts_hash_of(header))


def prompts_hash_of(header: Mapping[str, Any]) -> str | None:
    """The hash of the prompts' content that the header keeps for resuming the run."""
    hashes = (header.get("going_on") or {}).get("prints")
    found = hashes.get("prompts") if isinstance(hashes, Mapping) else None
    return found if isinstance(found, str) else None


def _differences(a: Any, b: Any, key: str) -> list[tuple[str, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        names = dict.fromkeys([*a, *b])
        return [found for name in names for found in _differences(a.get(name), b.get(name), f"{key}.{name}")]
    return [] if a == b or digests(a) == b or a == digests(b) else [(key, a, b)]
