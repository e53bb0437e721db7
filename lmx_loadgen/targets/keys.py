"""Which key a server gets: only one that its user meant for it, and not over the network in the clear."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.address import is_loopback
from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.own import refuse_elsewhere

ADMIN_KEY_FILE = Path(".opta-lmx") / "admin.key"
_ADMIN_VARIABLE = "LMX_ADMIN_KEY"
_OPENAI_HOST = "api.openai.com"
_OPENAI_VARIABLE = "OPENAI_API_KEY"


def key_variables(specs: Sequence[TargetSpec]) -> set[str]:
    """The names of all environment variables that hold a key of any kind of server, or of these targets."""
    own = {name for spec in specs for name in (spec.api_key_env, spec.admin_key_env)}
    own |= {_own_variable(spec, suffix) for spec in specs for suffix in ("API_KEY", "ADMIN_KEY")}
    kinds = {name for dialect in DIALECTS.values() for name in (dialect.key_env, dialect.admin_key_env)}
    return {name for name in own | kinds if name}


def key_variable(spec: TargetSpec, base_url: str) -> str | None:
    """The variable that a target's key is read from: the one its profile names, else that of the server it is called
    after, else `<NAME>_API_KEY`. OpenAI's own key goes to OpenAI's own host alone: None where no variable is left."""
    if spec.api_key_env is not None:
        return spec.api_key_env
    if urlsplit(base_url).hostname == _OPENAI_HOST:
        return _OPENAI_VARIABLE
    name = DIALECTS[spec.name].key_env if spec.name in DIALECTS else _own_variable(spec, "API_KEY")
    return None if name == _OPENAI_VARIABLE else name


def key_headers(
    spec: TargetSpec, base_url: str, env: Mapping[str, str], *, allow_plain_http: bool = False
) -> dict[str, str]:
    """The header that carries the target's key; empty where it has none. Raises InputError."""
    name = key_variable(spec, base_url)
    key = env.get(name, "").strip() if name is not None else ""
    if spec.api_key_env and not key:
        raise InputError(f"target {spec.name}: the environment variable {name} is empty; put the key there")
    if not key or name is None:
        return {}
    refuse_elsewhere(name, base_url)
    if not allow_plain_http:
        _refuse_in_the_clear(spec, base_url, name)
    return {"Authorization": f"Bearer {_usable(key, name)}"}


def admin_headers(
    spec: TargetSpec,
    dialect: Dialect,
    base_url: str,
    env: Mapping[str, str],
    home: Path | None,
    *,
    is_needed: bool = False,
    allow_plain_http: bool = False,
) -> dict[str, str]:
    """The header that carries the admin key, which lies in `<NAME>_ADMIN_KEY`, or for a server of this machine in the
    file that Opta-LMX keeps. Raises InputError."""
    if dialect.admin_key_env is None:
        return {}
    own = dialect.admin_key_env if spec.name in DIALECTS else _own_variable(spec, "ADMIN_KEY")
    name = spec.admin_key_env or own
    key = env.get(name, "").strip()
    if not key and home is not None and is_loopback(base_url):
        try:
            key = _stored_admin_key(home)
        except UnreadableKey:
            return {}
    if not key:
        return {}
    if not allow_plain_http and is_in_the_clear(base_url):
        if is_needed:
            _refuse_in_the_clear(spec, base_url, name)
        return {}
    return {"X-Admin-Key": _usable(key, name)}


class UnreadableKey(Exception):
    """There is a file for a key, and it cannot be read; the text says why."""


def own_admin_key(env: Mapping[str, str], home: Path | None) -> str | None:
    """The key that guards this machine's own administration: in `LMX_ADMIN_KEY`, or in Opta-LMX's file. None where none
    is set. Raises UnreadableKey."""
    key = env.get(_ADMIN_VARIABLE, "").strip()
    return key or (_stored_admin_key(home) if home is not None else "") or None


def _stored_admin_key(home: Path) -> str:
    """The key in Opta-LMX's file; empty where there is none. Raises UnreadableKey."""
    try:
        return (home / ADMIN_KEY_FILE).read_text(encoding="utf-8")[:4096].strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableKey(f"{home / ADMIN_KEY_FILE}: {getattr(error, 'strerror', None) or error}") from None


def is_in_the_clear(base_url: str) -> bool:
    """Whether what is sent there can be read by others on the way."""
    return base_url.startswith("http://") and not is_loopback(base_url)


def _refuse_in_the_clear(spec: TargetSpec, base_url: str, name: str) -> None:
    if is_in_the_clear(base_url):
        raise InputError(
            f"target {spec.name}: the key in {name} would cross the network unencrypted to {base_url}; use https, "
            "or allow it with --allow-plain-http"
        )


def _own_variable(spec: TargetSpec, suffix: str) -> str:
    name = "".join(letter if letter.isalnum() else "_" for letter in spec.name.upper())
    return f"{name}_{suffix}"


def _usable(key: str, name: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise InputError(f"the key in {name} has characters that no HTTP header can carry")
    return key
