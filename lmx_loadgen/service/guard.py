"""Who is served: requests that name this machine, and bear the admin key; without a key, only this machine's own.

Two dependencies of FastAPI, in this order and before any body is read.
"""

import hmac
import ipaddress
import os
import re
from collections.abc import Sequence

from fastapi import HTTPException, Request

from lmx_loadgen.system import folders
from lmx_loadgen.targets.address import is_loopback
from lmx_loadgen.targets.keys import UnreadableKey, own_admin_key

REFUSAL = "Invalid or missing admin key"  # as Opta-LMX says it
_HOST = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$")


async def require_known_host(request: Request) -> None:
    """Refuse a request that names another machine, as a browser sends it whose DNS was turned to this one; and without
    a key, one that a page of another machine makes. `app.state.benchmark_hosts` names further hosts of this one."""
    known = getattr(request.app.state, "benchmark_hosts", ())
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not _is_known(hosts[0], known):
        raise HTTPException(403, "Host not allowed")
    origin = request.headers.get("origin")
    if origin is not None and not _is_known(origin.partition("://")[2], known) and not _has_key():
        raise HTTPException(403, "Origin not allowed")


def require_admin(request: Request) -> None:
    """Refuse a request without the admin key; where none is set, one of another machine."""
    try:
        key = own_admin_key(os.environ, folders.home())
    except UnreadableKey:
        raise HTTPException(403, REFUSAL) from None  # there is a key, and nobody can have it
    if key is None:
        is_allowed = request.client is not None and _is_own_address(request.client.host)
    else:
        given = request.headers.get("x-admin-key", "")
        is_allowed = hmac.compare_digest(given.encode("latin-1"), key.encode())
    if not is_allowed:
        raise HTTPException(403, REFUSAL)


def _has_key() -> bool:
    try:
        return own_admin_key(os.environ, folders.home()) is not None
    except UnreadableKey:
        return True


def _is_known(host: str, known: Sequence[str]) -> bool:
    found = _HOST.match(host)
    if found is None:
        return False
    name = found[1].lower()
    return is_loopback(f"http://{name}") or name.strip("[]") in {one.lower().strip("[]") for one in known}


def _is_own_address(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
