"""From `--target NAME[=[DIALECT+]URL]` to a name, a dialect and an address in one form."""

import ipaddress
from urllib.parse import urlsplit

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import TargetSpec, split_target
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Dialect

# In place of a target's name: every server of this machine that has a model loaded.
AUTO = "auto"


def parse_target(text: str) -> TargetSpec:
    """A target as written on the command line: a server's name, `NAME=URL`, `NAME=DIALECT+URL`, or an address alone,
    which is called by its host and port. Raises InputError."""
    parts = split_target(text)
    name, dialect = parts["name"], parts["dialect"]
    where = f"--target {plain(text, 60)!r}"
    if name not in DIALECTS and parts["url"] is None:
        raise InputError(
            f"{where}: no such server; give one of {', '.join(DIALECTS)}, one of your own (lmx-loadgen targets add), "
            "an address like http://127.0.0.1:8000, or any name with an address, like mine=http://127.0.0.1:8000"
        )
    if dialect is not None and dialect not in DIALECTS:
        raise InputError(f"{where}: no such dialect {plain(dialect, 40)!r}; give one of {', '.join(DIALECTS)}")
    try:
        return TargetSpec.model_validate(parts)
    except ValueError:
        raise InputError(f"{where}: a target's name is up to 40 letters, digits, dots, dashes or underscores") from None


def dialect_of(spec: TargetSpec) -> Dialect:
    """The kind of server a target is before anybody was asked: its `dialect`, else the server of its name, else any
    OpenAI-compatible one. Raises InputError."""
    name = spec.dialect or (spec.name if spec.name in DIALECTS else "openai")
    if name not in DIALECTS:
        raise InputError(f"target {spec.name}: no such dialect {plain(name, 40)!r}; give one of {', '.join(DIALECTS)}")
    return DIALECTS[name]


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own, by its text: nobody is asked what a name stands for."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


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
        raise InputError(f"{where}: {plain(url, 100)!r} is not an address; use something like http://127.0.0.1:1234")
    if parts.username is not None or parts.password is not None:
        raise InputError(f"{where}: keys do not belong in an address; put the key in the target's environment variable")
    if parts.query or parts.fragment:
        raise InputError(f"{where}: an address has no '?' or '#' part")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/') or '/v1'}"
