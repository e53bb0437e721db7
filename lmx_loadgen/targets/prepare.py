"""From a target's spec to a server that is known to be the right one, with a model that is loaded."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.errors import AmbiguousModel, InputError, KeyRefused, ModelNotLoaded, Unreachable, WrongServer
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.system.local_network import privacy_hint
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.address import dialect_of, normalize_url
from lmx_loadgen.targets.base import Dialect, Target
from lmx_loadgen.targets.client import AdminClient, NotInTime
from lmx_loadgen.targets.keys import admin_headers, key_headers, key_variable
from lmx_loadgen.targets.models import ModelList, hub_name, list_models
from lmx_loadgen.targets.products import Identity
from lmx_loadgen.targets.recognize import LITELLM, KnownServers, identify

_TIMEOUT_S = 5.0
_WHOLE_S = 60.0
_LATER = "its model was not loaded: --isolate loads it for its blocks"


@dataclass(frozen=True, slots=True)
class Access:
    """How targets may be reached: TLS `verify`, the environment and home folder that keys lie in, whether the admin key
    will be needed, and whether keys may cross the network unencrypted; and the servers that are `known` from before."""

    env: Mapping[str, str]
    home: Path | None = None
    verify: ssl.SSLContext | bool = True
    needs_admin: bool = False
    allow_plain_http: bool = False
    known: KnownServers | None = None


async def prepare(spec: TargetSpec, access: Access, *, url: str | None = None, may_load: bool = False) -> Target:
    """Find out who answers, with which key, and which model to ask for.

    `url` stands in for the spec's own (a simulator's, known only once it runs). Nothing is loaded here; with
    `may_load`, a model that is named need not be, where the server can be asked to load it.
    Raises Unreachable, WrongServer, KeyRefused, ModelNotLoaded, AmbiguousModel or InputError.
    """
    named = dialect_of(spec)
    address = url or spec.url or named.default_url
    if address is None:
        raise InputError(f"target {spec.name} needs an address: --target {spec.name}=http://HOST:PORT")
    base_url = normalize_url(address, f"target {spec.name}")
    headers = key_headers(spec, base_url, access.env, allow_plain_http=access.allow_plain_http)
    async with httpx.AsyncClient(
        timeout=httpx.Timeout(_TIMEOUT_S), verify=access.verify, trust_env=False
    ) as connection:
        client = AdminClient(connection, base_url, headers)
        try:
            with anyio.fail_after(_WHOLE_S):
                return await _prepared(spec, named, client, access, may_load=may_load)
        except httpx.ConnectError as error:
            raise Unreachable(_nobody_there(spec, named, base_url, error)) from None
        except NotInTime as silence:
            raise Unreachable(
                f"what listens at {base_url} took the connection but did not answer {silence}: is it busy, or does it "
                "hang? Try again once it answers"
            ) from None
        except TimeoutError:
            raise Unreachable(
                f"what answers at {base_url} did not say within {_WHOLE_S:g} s who it is and what it has loaded"
            ) from None


async def _prepared(spec: TargetSpec, named: Dialect, client: AdminClient, access: Access, *, may_load: bool) -> Target:
    await _refuse_two_servers(spec, client)
    identity = await identify(client, access.known)
    dialect, notes = _dialect(spec, named, identity, client)
    listed = await _models(spec, dialect, identity, client)
    admin = await _checked_admin_headers(spec, dialect, client, access)
    named_model = _named_among(spec.model, listed.loaded) if spec.model is not None else None
    later = may_load and dialect.residency is not None and spec.model is not None and named_model is None
    if later:
        model, notes = str(spec.model), (*notes, _LATER)
    else:
        model, more = _model(spec, dialect, client, listed)
        notes = (*notes, *more)
    quantized = await dialect.quantization(client, model) if dialect.quantization is not None else None
    version = identity.version if identity is not None else None
    known = identity is not None and identity.product.dialect != "sim"
    return Target(
        name=spec.name,
        dialect=dialect,
        base_url=client.base_url,
        model=model,
        server={
            "product": identity.product.name if identity is not None and known else None,
            "title": identity.product.title if identity is not None else dialect.title,
            "version": plain(client.keys.redact(version), 60) if version else None,
            "quantization": plain(client.keys.redact(quantized), 120) if quantized else None,
        },
        headers=client.headers,
        admin_headers=admin,
        notes=notes,
        is_loaded=not later,
    )


# Who answers


def _dialect(
    spec: TargetSpec, named: Dialect, identity: Identity | None, client: AdminClient
) -> tuple[Dialect, tuple[str, ...]]:
    """The rules that the target's answers go by: those that were asked for, else those of whoever answers. Raises
    WrongServer where a server that was named is not the one that answers."""
    product = identity.product if identity is not None else None
    notes = []
    if product is not None and product.is_proxy:
        notes.append(f"{product.title} is a proxy: what computes the answers is behind it")
    if spec.dialect is not None:
        if product is not None and product.dialect != spec.dialect:
            notes.append(f"{product.title} answers, and is measured by the rules of {named.title}, as asked for")
        return named, tuple(notes)
    if named.is_generic:
        dialect = DIALECTS[product.dialect] if product is not None else named
        if not dialect.is_generic and product is not None:
            notes.append(f"{product.title} answers at this address, and is measured by its rules")
        return dialect, tuple(notes)
    if product is not None and product.dialect == named.name:
        return named, tuple(notes)
    if product is not None:
        raise WrongServer(
            f"{product.title} answers at {client.base_url}, not {named.title}: give the address of {named.title} "
            f"with --target {spec.name}=URL, or measure what is there with --target {product.dialect}={client.root}"
        )
    raise WrongServer(
        f"something answers at {client.base_url}, but it is not {named.title}: give its address with "
        f"--target {spec.name}=URL, or measure what is there with --target openai={client.base_url}"
    )


async def _refuse_two_servers(spec: TargetSpec, client: AdminClient) -> None:
    """`localhost` is two addresses, and two servers may share a port number. Raises WrongServer where they do."""
    parts = urlsplit(client.base_url)
    if parts.hostname != "localhost":
        return
    found: dict[str, Identity | None] = {}
    for host in ("127.0.0.1", "[::1]"):
        address = parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()
        try:
            found[address] = await identify(replace(client, base_url=address, headers={}))
        except httpx.ConnectError:
            continue
    titles = [one.product.title if one is not None else "another server" for one in found.values()]
    if len(found) == 2 and titles[0] != titles[1]:
        told = " and ".join(f"{title} at {address}" for title, address in zip(titles, found, strict=True))
        raise WrongServer(f"{client.base_url} is two servers: {told}; name one with --target {spec.name}=URL")


# Keys


async def _checked_admin_headers(
    spec: TargetSpec, dialect: Dialect, client: AdminClient, access: Access
) -> dict[str, str]:
    """The admin key's header; where the run will need it, the server is asked whether it is the right one. Raises
    KeyRefused."""
    headers = admin_headers(
        spec,
        dialect,
        client.base_url,
        access.env,
        access.home,
        is_needed=access.needs_admin,
        allow_plain_http=access.allow_plain_http,
    )
    if headers and access.needs_admin:
        reply = await replace(client, headers={**client.headers, **headers}).get("/admin/status", key=True)
        if reply is not None and reply.status in (401, 403):
            where = spec.admin_key_env or dialect.admin_key_env
            raise KeyRefused(
                f"{dialect.title} at {client.base_url} refuses the admin key (from {where} or ~/.opta-lmx/admin.key)"
            )
    return headers


def _key_hint(spec: TargetSpec, client: AdminClient) -> str:
    name = key_variable(spec, client.base_url)
    if name is None:
        return (
            f"a variable that the profile names (api_key_env), or give the target a name of its own: MINE={client.root}"
        )
    return f"the environment variable {name}"


# Models


async def _models(spec: TargetSpec, dialect: Dialect, identity: Identity | None, client: AdminClient) -> ModelList:
    """What is loaded. Raises KeyRefused, ModelNotLoaded or Unreachable where the list of models is refused; a target of
    which nothing is known and whose model is named may have none."""
    listed = await list_models(client)
    title = identity.product.title if identity is not None else dialect.title
    is_proxy_refusal = listed.status in (400, 500) and identity is not None and identity.product is LITELLM
    if listed.status in (401, 403) or is_proxy_refusal:
        what = "refuses the key in" if client.headers else "asks for a key: put it in"
        words = f" (it says: {listed.words})" if is_proxy_refusal else ""
        raise KeyRefused(f"{title} at {client.base_url} {what} {_key_hint(spec, client)}{words}")
    if listed.status == 503:
        raise ModelNotLoaded(f"model_not_loaded: {title} at {client.base_url} is not ready: {listed.words}")
    if not listed.is_list:
        return _without_list(spec, dialect, client, listed)
    if dialect.loaded is not None:
        loaded = await dialect.loaded(client)
    elif dialect.lists_cache and len(listed.loaded) != 1:  # only a single one is certainly the one it serves
        loaded = []
    else:
        return listed
    return replace(listed, loaded=tuple(loaded), unloaded=tuple(one for one in listed.unloaded if one not in loaded))


def _without_list(spec: TargetSpec, dialect: Dialect, client: AdminClient, listed: ModelList) -> ModelList:
    if spec.model is not None and dialect.is_generic and listed.status != 0:
        return listed
    if listed.status == 0:
        raise Unreachable(
            f"something listens at {client.base_url}, but what it sends to GET /models cannot be read, or breaks off: "
            f"is it a server of the OpenAI API? Give another address with --target {spec.name}=URL"
        )
    words = f": {listed.words}" if listed.words else ""
    where = f"GET {urlsplit(client.base_url).path}/models at {client.root}"
    if listed.status == 200:
        raise ModelNotLoaded(
            f"model_not_loaded: {where} gives no list of models{words}; is it a server of the OpenAI API?"
        )
    also = f", or name a model with --model {spec.name}=ID" if dialect.is_generic else ""
    raise Unreachable(f"{where} answers {listed.status}{words}; mend that on the server{also}")


def _named_among(model: str, loaded: Sequence[str]) -> str | None:
    """The loaded model that is meant: by its own name, with Ollama's default tag, or by the path it was loaded from."""
    if model in loaded:
        return model
    return next((name for name in loaded if name == f"{model}:latest" or hub_name(name) == hub_name(model)), None)


def _model(spec: TargetSpec, dialect: Dialect, client: AdminClient, listed: ModelList) -> tuple[str, tuple[str, ...]]:
    where = f"{dialect.title} at {client.base_url}"
    loaded = listed.loaded
    shown = ", ".join(plain(client.keys.redact(name), 120) for name in loaded[:10])
    if spec.model is not None:
        return _asked_model(spec.model, dialect, listed, client.base_url, shown)
    if len(loaded) == 1:
        return loaded[0], ()
    if loaded:
        raise AmbiguousModel(f"{where} has several models loaded ({shown}): choose one with --model {spec.name}=ID")
    if dialect.default_model is not None:
        return dialect.default_model, ()
    if dialect.is_generic and not listed.unloaded:
        raise ModelNotLoaded(
            f"model_not_loaded: {where} lists no model; where it loads models on demand, name one with "
            f"--model {spec.name}=ID"
        )
    raise ModelNotLoaded(
        f"model_not_loaded: {where} has no chat model loaded; {dialect.how_to_load('MODEL', client.base_url)} "
        "(this tool never loads a model)"
    )


def _asked_model(
    model: str, dialect: Dialect, listed: ModelList, base_url: str, shown: str
) -> tuple[str, tuple[str, ...]]:
    """The model that was named, where it is loaded or nobody can tell. Raises ModelNotLoaded."""
    if (same := _named_among(model, listed.loaded)) is not None:
        return same, ()
    name = plain(model, 120)
    if _named_among(model, listed.unloaded) is None:
        if not listed.loaded and not listed.unloaded and (dialect.default_model is not None or dialect.is_generic):
            return model, (f"{dialect.title} does not tell whether {name} is loaded",)
        if dialect.is_generic:
            return model, (f"{name} is not in the server's list of models ({shown or 'none'}): measured as named",)
    raise ModelNotLoaded(
        f"model_not_loaded: {name} is not loaded by {dialect.title} at {base_url} (loaded: {shown or 'none'}); "
        f"{dialect.how_to_load(name, base_url)} (this tool never loads a model)"
    )


def _nobody_there(spec: TargetSpec, dialect: Dialect, base_url: str, error: Exception) -> str:
    why = plain(str(error), 120) or "no connection"
    if "certificate" in why.lower():
        return f"the certificate of {base_url} is not trusted ({why}): name its CA with --ca-file, or use --insecure"
    return (
        f"nothing answers at {base_url} ({why.lower()}): {dialect.start_hint}, or name another address with "
        f"--target {spec.name}=URL{privacy_hint(error)}"
    )
