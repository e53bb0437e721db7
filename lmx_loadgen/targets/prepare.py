"""From `--target NAME[=URL]` to a server that is known to be the right one, with a model that is loaded."""

import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.errors import (
    AmbiguousModel,
    InputError,
    KeyRefused,
    ModelNotLoaded,
    Unreachable,
    WrongServer,
)
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.system import folders
from lmx_loadgen.system.local_network import privacy_hint
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Dialect, Target
from lmx_loadgen.targets.client import AdminClient, NotInTime

_TIMEOUT_S = 5.0
_WHOLE_S = 60.0
_ADMIN_KEY_FILE = Path(".opta-lmx") / "admin.key"


def parse_target(text: str) -> TargetSpec:
    """A target as written on the command line. Raises InputError."""
    name, _, url = text.partition("=")
    if name not in DIALECTS and not url:
        raise InputError(
            f"--target {plain(text, 60)!r}: no such server; give one of {', '.join(DIALECTS)}, or any name with an "
            "address, like mine=http://127.0.0.1:8000"
        )
    try:
        return TargetSpec(name=name, url=url or None)
    except ValueError:
        raise InputError(
            f"--target {plain(text, 60)!r}: a target's name is up to 40 letters, digits, dots, dashes or underscores"
        ) from None


def dialect_of(spec: TargetSpec) -> Dialect:
    """The kind of server a target is: its `dialect`, else the server of its name, else any OpenAI-compatible one."""
    name = spec.dialect or (spec.name if spec.name in DIALECTS else "openai")
    if name not in DIALECTS:
        raise InputError(f"target {spec.name}: no such dialect {plain(name, 40)!r}; give one of {', '.join(DIALECTS)}")
    return DIALECTS[name]


def key_variables(specs: Sequence[TargetSpec]) -> set[str]:
    """The names of all environment variables that hold a key of any kind of server, or of these targets."""
    own = {name for spec in specs for name in (spec.api_key_env, spec.admin_key_env)}
    return {name for name in own | {d.key_env for d in DIALECTS.values()} if name} | {
        dialect.admin_key_env for dialect in DIALECTS.values() if dialect.admin_key_env
    }


def normalize_url(url: str, where: str) -> str:
    """The base address without a closing slash, `/v1` added where it has no path. Raises InputError, naming `where`."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
        if host and ":" in host:
            ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError as error:
        raise InputError(f"{where}: {plain(url, 100)!r} is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"{where}: {plain(url, 100)!r} is not an address; write it like http://127.0.0.1:1234")
    if parts.username is not None or parts.password is not None:
        raise InputError(f"{where}: keys do not belong in an address; put the key in the target's environment variable")
    if parts.query or parts.fragment:
        raise InputError(f"{where}: an address has no '?' or '#' part")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/') or '/v1'}"


async def prepare(
    spec: TargetSpec,
    env: Mapping[str, str],
    *,
    url: str | None = None,
    verify: ssl.SSLContext | bool = True,
    home: Path | None = None,
    may_load: bool = False,
) -> Target:
    """Find out who answers, with which key, and which model to ask for.

    `url` stands in for the spec's own (a simulator's, known only once it runs). Nothing is loaded here; with
    `may_load`, a model that is named need not be, where the server can be asked to load it.
    Raises Unreachable, WrongServer, KeyRefused, ModelNotLoaded, AmbiguousModel or InputError.
    """
    dialect = dialect_of(spec)
    address = url or spec.url or dialect.default_url
    if address is None:
        raise InputError(f"target {spec.name} needs an address: --target {spec.name}=http://HOST:PORT")
    base_url = normalize_url(address, f"target {spec.name}")
    headers, key_env = _key_headers(spec, dialect, env)
    timeout = httpx.Timeout(_TIMEOUT_S)
    async with httpx.AsyncClient(timeout=timeout, verify=verify, trust_env=False) as client:
        cold = AdminClient(client, base_url, headers)
        try:
            with anyio.fail_after(_WHOLE_S):
                version = await _recognized(spec, dialect, cold)
                await _check_key(spec, dialect, cold, key_env)
                loaded = await dialect.loaded(cold)
                later = may_load and dialect.residency is not None and spec.model is not None
                later = later and not _named_among(spec, loaded)
                model, notes = (str(spec.model), (_LATER,)) if later else _model(spec, dialect, cold, loaded)
                quantised = await dialect.quantization(cold, model) if dialect.quantization is not None else None
        except httpx.ConnectError as error:
            raise Unreachable(_nobody_there(spec, dialect, base_url, error)) from None
        except NotInTime as silence:
            raise Unreachable(
                f"what listens at {base_url} took the connection but did not answer {silence}: is it busy, or does it "
                "hang? Try again once it answers"
            ) from None
        except TimeoutError:
            raise Unreachable(
                f"what answers at {base_url} did not say within {_WHOLE_S:g} s who it is and what it has loaded"
            ) from None
    return Target(
        name=spec.name,
        dialect=dialect,
        base_url=base_url,
        model=model,
        server={
            "product": _PRODUCTS.get(dialect.name),
            "title": dialect.title,
            "version": plain(cold.keys.redact(version), 60) if version else None,
            "quantization": plain(cold.keys.redact(quantised), 120) if quantised else None,
        },
        headers=headers,
        admin_headers=_admin_headers(spec, dialect, env, home or folders.home()),
        notes=notes,
        is_loaded=not later,
    )


_LATER = "its model was not loaded: --isolate loads it for its blocks"


_PRODUCTS = {"lmx": "opta-lmx", "ollama": "ollama", "lmstudio": "lm-studio", "llamacpp": "llama.cpp", "vllm": "vllm"}


def _key_headers(spec: TargetSpec, dialect: Dialect, env: Mapping[str, str]) -> tuple[dict[str, str], str]:
    name = spec.api_key_env or dialect.key_env
    key = env.get(name, "").strip()
    if spec.api_key_env and not key:
        raise InputError(f"target {spec.name}: the environment variable {name} is empty; put the key there")
    return ({"Authorization": f"Bearer {_usable(key, name)}"} if key else {}), name


def _admin_headers(spec: TargetSpec, dialect: Dialect, env: Mapping[str, str], home: Path | None) -> dict[str, str]:
    name = spec.admin_key_env or dialect.admin_key_env
    if name is None:
        return {}
    key = env.get(name, "").strip()
    if not key and home is not None:
        try:
            key = (home / _ADMIN_KEY_FILE).read_text(encoding="utf-8")[:4096].strip()
        except (OSError, UnicodeDecodeError):
            return {}
    return {"X-Admin-Key": _usable(key, name)} if key else {}


def _usable(key: str, name: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise InputError(f"the key in {name} has characters that no HTTP header can carry")
    return key


async def _recognized(spec: TargetSpec, dialect: Dialect, cold: AdminClient) -> str | None:
    """The version of the server that answers. Raises WrongServer when it is another than the one named."""
    if dialect.recognize is None:
        return None
    version = await dialect.recognize(cold)
    if version is not None:
        return version
    for other in DIALECTS.values():
        if other is not dialect and other.recognize is not None and await other.recognize(cold) is not None:
            raise WrongServer(
                f"{other.title} answers at {cold.base_url}, not {dialect.title}: give the address of {dialect.title} "
                f"with --target {spec.name}=URL, or measure what is there with --target {other.name}={cold.root}"
            )
    raise WrongServer(
        f"something answers at {cold.base_url}, but it is not {dialect.title}: give its address with "
        f"--target {spec.name}=URL, or measure what is there with --target openai={cold.base_url}"
    )


async def _check_key(spec: TargetSpec, dialect: Dialect, cold: AdminClient, key_env: str) -> None:
    reply = await cold.get_api("/models")
    if reply is None:
        raise Unreachable(
            f"something listens at {cold.base_url}, but what it sends to GET /models cannot be read, or breaks off: "
            f"is it a server of the OpenAI API? Give another address with --target {spec.name}=URL"
        )
    if reply.status in (401, 403):
        what = "refuses the key in" if cold.headers else "asks for a key: put it in"
        raise KeyRefused(f"{dialect.title} at {cold.base_url} {what} the environment variable {key_env}")
    if reply.status == 503:
        raise ModelNotLoaded(f"model_not_loaded: {dialect.title} at {cold.base_url} is not ready: {reply.words}")


def _named_among(spec: TargetSpec, loaded: Sequence[str]) -> str | None:
    """The loaded model that the spec names, by its own name or with Ollama's default tag."""
    return next((name for name in loaded if name in (spec.model, f"{spec.model}:latest")), None)


def _model(spec: TargetSpec, dialect: Dialect, cold: AdminClient, loaded: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    shown = ", ".join(plain(cold.keys.redact(name), 120) for name in loaded[:10])
    if spec.model is not None:
        if (same := _named_among(spec, loaded)) is not None:
            return same, ()
        if not loaded and (dialect.default_model is not None or dialect.recognize is None):
            return spec.model, (f"{dialect.title} does not tell whether {plain(spec.model, 120)} is loaded",)
        raise ModelNotLoaded(
            f"model_not_loaded: {plain(spec.model, 120)} is not loaded by {dialect.title} at {cold.base_url} "
            f"(loaded: {shown or 'none'}); load it there first, this tool never loads a model"
        )
    if len(loaded) == 1:
        return loaded[0], ()
    if loaded:
        raise AmbiguousModel(
            f"{dialect.title} at {cold.base_url} has several models loaded ({shown}): "
            f"choose one with --model {spec.name}=ID"
        )
    if dialect.default_model is not None:
        return dialect.default_model, ()
    raise ModelNotLoaded(
        f"model_not_loaded: {dialect.title} at {cold.base_url} has no chat model loaded; load one there first, "
        "this tool never loads a model"
    )


def _nobody_there(spec: TargetSpec, dialect: Dialect, base_url: str, error: Exception) -> str:
    why = plain(str(error), 120) or "no connection"
    if "certificate" in why.lower():
        return f"the certificate of {base_url} is not trusted ({why}): name its CA with --ca-file, or use --insecure"
    return (
        f"nothing answers at {base_url} ({why.lower()}): {dialect.start_hint}, or name another address with "
        f"--target {spec.name}=URL{privacy_hint(error)}"
    )
