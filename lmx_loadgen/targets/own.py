"""The user's own targets: addresses by a name, and for each the variable that its key is in. No key is stored."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pydantic_core
from pydantic import BaseModel, ConfigDict, ValidationError

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.errors import InputError, ProfileError, StorageError, first_fault
from lmx_loadgen.profile.models import TargetSpec, split_target
from lmx_loadgen.store.result import write_whole
from lmx_loadgen.system import folders
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.address import AUTO, normalize_url, parse_target

NAME = "targets.json"
_SCHEMA = 1
_PRIVATE = 0o600
_MAX_FILE = 1024 * 1024
_OPENAI_VARIABLE, _OPENAI_HOST = "OPENAI_API_KEY", "api.openai.com"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_version: int = _SCHEMA
    targets: list[TargetSpec]


def path() -> Path:
    return folders.config_folder() / NAME


def read_own(where: Path | None = None) -> dict[str, TargetSpec]:
    """The user's own targets by name; none where there is no file. Raises ProfileError for one that is damaged."""
    where = where or path()
    try:
        with where.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise ValueError(f"it is larger than {_MAX_FILE} bytes")
        targets = _File.model_validate(pydantic_core.from_json(data)).targets
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProfileError(f"cannot read {where}: {error.strerror or error}") from None
    except ValueError as problem:
        why = first_fault(problem, "the file") if isinstance(problem, ValidationError) else problem
        raise ProfileError(f"{where} is damaged ({why}): fix or delete it, then add the targets again") from None
    return {spec.name: spec for spec in targets if spec.name not in DIALECTS and spec.url is not None}


def add(name: str, url: str, dialect: str | None = None, key_env: str | None = None) -> TargetSpec:
    """Store a target, in place of one of the same name. Raises InputError, ProfileError or StorageError."""
    if name in DIALECTS or name == AUTO:
        raise InputError(f"{name} is a built-in name: choose another for {plain(url, 100)}")
    if dialect is not None and dialect not in DIALECTS:
        raise InputError(f"no such dialect {plain(dialect, 40)!r}; give one of {', '.join(DIALECTS)}")
    try:
        spec = TargetSpec(name=name, url=normalize_url(url, name), dialect=dialect, api_key_env=key_env)
    except ValidationError as problem:
        raise InputError(f"{plain(name, 60)!r} cannot be added: {first_fault(problem)}") from None
    known = read_own()
    if key_env is not None:
        _refuse_bound(spec, key_env, known)
    _write({**known, name: spec})
    return spec


def remove(name: str) -> None:
    """Forget a target. Raises InputError where there is none of that name, ProfileError or StorageError."""
    known = read_own()
    if known.pop(name, None) is None:
        raise InputError(f"there is no target of your own called {plain(name, 60)!r}: {_listed(known)}")
    _write(known)


def find_target(text: str) -> TargetSpec:
    """A target as written on the command line, by the name of one's own too. Raises InputError or ProfileError."""
    parts = split_target(text)
    if parts["url"] is None and parts["name"] not in DIALECTS:
        known = read_own()
        if (spec := known.get(str(parts["name"]))) is not None:
            return spec
    return parse_target(text)


def with_address(spec: TargetSpec) -> TargetSpec:
    """A profile's target with all that is stored under its name, where the profile has no more than the name and a
    model. Raises ProfileError."""
    if spec.url is not None or spec.dialect is not None or spec.name in DIALECTS:
        return spec
    found = read_own().get(spec.name)
    return spec if found is None else found.model_copy(update=spec.model_dump(exclude_none=True))


def refuse_elsewhere(variable: str, base_url: str) -> None:
    """Raises InputError where the key in `variable` belongs to one of the user's own targets on another host."""
    host = urlsplit(base_url).hostname
    for spec in read_own().values():
        if spec.api_key_env == variable and (own := urlsplit(spec.url or "").hostname) != host:
            raise InputError(
                f"the key in {variable} belongs to {spec.name} at {own} and is not sent to {host}: put the key for "
                f"{host} in another variable"
            )


def _refuse_bound(spec: TargetSpec, variable: str, known: Mapping[str, TargetSpec]) -> None:
    host = urlsplit(spec.url or "").hostname
    if variable == _OPENAI_VARIABLE and host != _OPENAI_HOST:
        raise InputError(f"the key in {variable} goes to {_OPENAI_HOST} alone: choose another variable for {host}")
    for other in known.values():
        theirs = urlsplit(other.url or "").hostname
        if other.name != spec.name and other.api_key_env == variable and theirs != host:
            raise InputError(f"the key in {variable} belongs to {other.name} at {theirs}: choose another for {host}")


def _write(targets: Mapping[str, TargetSpec]) -> None:
    where = path()
    try:
        where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(f"cannot make the folder {where.parent}: {error.strerror or error}") from None
    data = _File(targets=list(targets.values())).model_dump_json(indent=1, exclude_none=True)
    write_whole(where, data.encode() + b"\n", _PRIVATE)


def _listed(known: Mapping[str, TargetSpec]) -> str:
    return f"you have {', '.join(known)}" if known else "you have none"
