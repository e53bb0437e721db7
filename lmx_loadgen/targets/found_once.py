"""Each server once, under a name of its own."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from lmx_loadgen.targets.address import is_loopback
from lmx_loadgen.targets.found import FoundServer


def once_each(found: Sequence[FoundServer]) -> list[FoundServer]:
    """Without what was found twice: by an own name, or as one server on both of this machine's addresses."""
    kept: list[FoundServer] = []
    for one in found:
        if not any(one.base_url == other.base_url or _is_same(one, other) for other in kept):
            kept.append(one)
    return kept


def _is_same(one: FoundServer, other: FoundServer) -> bool:
    """Whether two loopback addresses of one port are surely one server's."""
    local = is_loopback(one.base_url) and is_loopback(other.base_url)
    if not local or urlsplit(one.base_url).port != urlsplit(other.base_url).port:
        return False
    return (one.identity, one.inventory, one.problem) == (other.identity, other.inventory, other.problem)


def named_apart(found: Sequence[FoundServer]) -> list[FoundServer]:
    """No two of one name: the second gets a number."""
    named: list[FoundServer] = []
    for one in found:
        number, name = 1, one.name
        while name in [other.name for other in named]:
            number += 1
            name = f"{one.name}-{number}"
        named.append(replace(one, name=name))
    return named
