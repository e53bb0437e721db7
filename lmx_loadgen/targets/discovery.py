"""Which servers are there: the known ports of this machine and the user's own targets, all asked at once.

Until a server has been recognized it gets GETs without a key. Each address has two seconds for all its questions,
whatever it answers, so that a server which hangs costs no more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import anyio
import httpx

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.system.api_keys import Keys
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.address import normalize_url
from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient
from lmx_loadgen.targets.found import FoundServer, name_of
from lmx_loadgen.targets.found_once import named_apart, once_each
from lmx_loadgen.targets.inventory import Inventory, take_inventory
from lmx_loadgen.targets.keys import admin_headers, key_headers, key_variable
from lmx_loadgen.targets.prepare import Access
from lmx_loadgen.targets.products import Identity
from lmx_loadgen.targets.recognize import LITELLM, identify

# Where servers listen unless they are told otherwise: those without a dialect of their own, and the simulator (8089).
_OTHER_PORTS = (1337, 4000, 4891, 5000, 5001, 6767, 8089, 10240, 12434, 52415)
_ADDRESSES = (urlsplit(one.default_url) for one in DIALECTS.values() if one.default_url is not None)
KNOWN_PORTS: tuple[int, ...] = tuple(
    sorted({*_OTHER_PORTS, *(address.port for address in _ADDRESSES if address.port is not None)})
)
HOSTS = ("127.0.0.1", "[::1]")
BUDGET_S = 2.0
# The base of the API, where that is not /v1.
_BASES = {"docker-model-runner": "/engines/v1"}


@dataclass
class _Seen:
    """What is known of an address so far, kept when its time is up. `spec` is named after whoever answers."""

    spec: TargetSpec
    base_url: str
    dialect: Dialect
    is_own: bool
    identity: Identity | None = None
    inventory: Inventory | None = None
    problem: str | None = None
    key_variable: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_there: bool = True


async def discover(
    access: Access, own: Iterable[TargetSpec] = (), ports: Sequence[int] = KNOWN_PORTS
) -> list[FoundServer]:
    """Every server that was found on the `ports` of this machine, and each of the `own` targets whether or not it
    answers. Only loopback and the own targets are contacted. Never raises for what a server does."""
    anonymous = [TargetSpec(name="server", url=f"http://{host}:{port}") for port in ports for host in HOSTS]
    seen = [_unseen(spec, is_own=True) for spec in own] + [_unseen(spec, is_own=False) for spec in anonymous]
    async with anyio.create_task_group() as group:
        for one in seen:
            group.start_soon(_look, one, access)
    keys = Keys.sent_in(*(one.headers for one in seen))  # one server may repeat what another was sent
    found = [_found(one, keys) for one in seen if one.is_there]
    return named_apart(once_each([one for one in found if one is not None]))


def _unseen(spec: TargetSpec, *, is_own: bool) -> _Seen:
    return _Seen(spec, normalize_url(spec.url or "", spec.name), DIALECTS[spec.dialect or "openai"], is_own)


async def _look(seen: _Seen, access: Access) -> None:
    """Find out who answers at one address."""
    async with httpx.AsyncClient(timeout=BUDGET_S, verify=access.verify, trust_env=False) as connection:
        try:
            with anyio.fail_after(BUDGET_S):
                await _ask(seen, AdminClient(connection, seen.base_url, {}, within_s=BUDGET_S), access)
        except httpx.ConnectError:
            seen.is_there = seen.is_own
            seen.problem = f"nothing answers at {seen.base_url}"
        except TimeoutError:
            seen.problem = f"it did not answer within {BUDGET_S:g} s: is it busy, or does it hang?"


async def _ask(seen: _Seen, client: AdminClient, access: Access) -> None:
    """Recognize the server, then ask what it has: with the key that is meant for it, where it is known."""
    seen.identity = await identify(client)
    if seen.identity is not None:
        product = seen.identity.product
        seen.base_url = client.root + _BASES.get(product.name, seen.base_url.removeprefix(client.root))
        if seen.spec.dialect is None:
            seen.dialect = DIALECTS[product.dialect]
    if not seen.is_own:
        seen.spec = seen.spec.model_copy(update={"name": name_of(seen.identity, seen.base_url)})
    if seen.identity is not None or seen.spec.dialect is not None:
        try:
            seen.headers = _keys(seen, access)
        except InputError as refused:
            variable = seen.spec.api_key_env
            seen.problem = str(refused)
            seen.key_variable = variable if variable and not access.env.get(variable) else None
            return
    asking = replace(client, base_url=seen.base_url, headers=seen.headers)
    seen.inventory = await take_inventory(asking, seen.identity, seen.dialect)
    seen.problem, seen.key_variable = _refused(seen)


def _keys(seen: _Seen, access: Access) -> dict[str, str]:
    """Raises InputError where a key is not to be sent there."""
    headers = key_headers(seen.spec, seen.base_url, access.env, allow_plain_http=access.allow_plain_http)
    return headers | admin_headers(seen.spec, seen.dialect, seen.base_url, access.env, access.home)


def _refused(seen: _Seen) -> tuple[str | None, str | None]:
    """Why it lists no models, and the variable that the key belongs in where it asks for one."""
    inventory = seen.inventory
    if inventory is None or inventory.is_list:
        return None, None
    is_litellm = seen.identity is not None and seen.identity.product is LITELLM and inventory.status in (400, 500)
    if inventory.status in (401, 403) or is_litellm:
        variable = key_variable(seen.spec, seen.base_url)
        if seen.headers:
            return f"it refuses the key in {variable}", variable
        return "it asks for a key", variable
    if inventory.status == 503:
        return f"it is not ready: {inventory.words}" if inventory.words else "it is not ready", None
    return "it lists no models", None


def _found(seen: _Seen, keys: Keys) -> FoundServer | None:
    """What was found, with no key in it; None where it is no server of models."""
    status = seen.inventory.status if seen.inventory is not None else None
    is_stranger = seen.identity is None and not seen.is_own
    if is_stranger and status not in (None, 200, 401):  # a web server, or AirPlay's receiver
        return None
    version = seen.identity.version if seen.identity is not None else ""
    listed = seen.inventory if seen.inventory is not None and seen.inventory.is_list else None
    name = seen.spec.name if seen.is_own else name_of(seen.identity, seen.base_url)
    return FoundServer(
        name=name,
        base_url=seen.base_url,
        dialect=seen.dialect,
        identity=seen.identity,
        inventory=listed and listed.redacted(keys),
        problem=seen.problem and keys.redact(seen.problem),
        key_variable=seen.key_variable,
        is_own=seen.is_own,
        version=plain(keys.redact(version), 60) or None,
    )
