"""A heavy load on an address of the open internet needs a word from its owner.

Loopback, private and link-local addresses, and those of a carrier's or a mesh VPN's own range (100.64.0.0/10), are the
user's own network. A name is asked of the resolver, and counts as public when any of its addresses is.
"""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.plan import Segment, make_plan
from lmx_loadgen.targets.address import dialect_of, normalize_url

MOST_IN_FLIGHT = 4
MOST_REQUESTS = 200
MOST_SECONDS = 120.0
_RESOLVE_S = 10.0

Resolve = Callable[[str], Sequence[str]]


def check_owned(profile: Profile, resolve: Resolve | None = None, *, goes_on: bool = False) -> None:
    """Raises InputError where a target's address is public and its load is over what a stranger may send there."""
    names = [spec.name for spec in profile.targets]
    plan = make_plan(profile, names)
    for spec in profile.targets:
        load = heavy([segment for segment in plan if segment.target == spec.name])
        load = load or ("to add blocks as long as it takes" if goes_on or profile.load.sweep else None)
        address = spec.url or dialect_of(spec).default_url
        if load is None or address is None:
            continue
        host = urlsplit(normalize_url(address, f"target {spec.name}")).hostname or ""
        public = next((one for one in addresses_of(host, resolve or resolved) if is_public(one)), None)
        if public is not None:
            where = host if host == public else f"{host} ({public})"
            raise InputError(
                f"target {spec.name}: {where} is on the open internet, and {load} is a heavy load there: "
                "use --i-own-this-server if it is yours, or a smaller load"
            )


def heavy(segments: Sequence[Segment]) -> str | None:
    """What is heavy about a target's load, in words; None where nothing is."""
    in_flight = max((segment.load_point.slots for segment in segments), default=0)
    requests = sum((segment.requests or 0) + segment.warmup * _warm_slots(segment) for segment in segments)
    seconds = sum(segment.duration for segment in segments if segment.duration and segment.requests is None)
    if in_flight > MOST_IN_FLIGHT and any(segment.load_point.IS_OPEN for segment in segments):
        return f"up to {in_flight} requests in flight (over {MOST_IN_FLIGHT}; --max-in-flight)"
    if in_flight > MOST_IN_FLIGHT:
        return f"concurrency {in_flight} (over {MOST_IN_FLIGHT})"
    if requests > MOST_REQUESTS:
        return f"{requests} requests (over {MOST_REQUESTS})"
    return f"{seconds:g} s of load (over {MOST_SECONDS:g})" if seconds > MOST_SECONDS else None


def _warm_slots(segment: Segment) -> int:
    return 1 if segment.load_point.IS_OPEN else segment.load_point.slots


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global


def resolved(host: str) -> Sequence[str]:
    """All IP addresses of a name; none where the resolver knows none, or does not say within ten seconds."""
    found: list[str] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_RESOLVE_S)
    return list(found)


def addresses_of(host: str, resolve: Resolve = resolved) -> Sequence[str]:
    """The IP addresses of a host: itself, where it is one."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return resolve(host)
    return [host]
