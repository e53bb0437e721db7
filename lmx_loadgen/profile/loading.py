"""Load profiles: YAML into a `Profile`, with every mistake named by file and key."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lmx_loadgen.errors import InputError, LoadgenError, ProfileError
from lmx_loadgen.profile.mistakes import joined, mistakes
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.profile.strict_yaml import read_yaml
from lmx_loadgen.system import folders, package_data

# Whoever put the key itself there must not see it printed.
_KEY_VARIABLES = dict.fromkeys(
    ("api_key_env", "admin_key_env"),
    "must be the name of an environment variable that holds the key, not the key itself",
)
# Files that a profile names, by section and key.
_FILES = (("prompts", "file"), ("load", "replay"), (None, "tokenizer"))


def profile_names() -> list[str]:
    """The names of the profiles that come with the package."""
    return sorted(path.stem for path in package_data.folder("profiles").glob("*.yaml"))


def load_profile(name_or_path: str) -> Profile:
    """The profile of that name, or the one in that file; files that it names are beside it.

    Raises ProfileError, and InputError for a `~` of a user without a home.
    """
    path = folders.expanded(Path(name_or_path))
    try:
        is_file = path.suffix in (".yaml", ".yml") or path.is_file()
    except ValueError:
        raise ProfileError(f"{name_or_path!r} is not a path: it holds a NUL character") from None
    if not is_file:
        path = package_data.folder("profiles") / f"{name_or_path}.yaml"
        if name_or_path not in profile_names():
            raise ProfileError(
                f"there is no profile {name_or_path!r}: give a YAML file or one of {', '.join(profile_names())}"
            )
    data = read_yaml(path, "profile")
    if isinstance(data, dict):
        data = _beside(data, path.parent)
    return _validated(data, str(path), ProfileError, unitless=_unitless_slos(data))


def overridden(profile: Profile, values: Mapping[str, Any], flags: Mapping[str, str] | None = None) -> Profile:
    """The profile with `values` (dotted key → value) in place of its own.

    `flags` says which flag a key came from. Raises InputError that names the flag.
    """
    data = profile.model_dump()
    for key, value in values.items():
        *parents, last = key.split(".")
        part = data
        for parent in parents:
            part = part[parent]
        part[last] = value
    unitless = {key: value for key, value in values.items() if key.startswith("slo.") and _has_no_unit(value)}
    return _validated(data, None, InputError, flags or {}, unitless)


def _beside(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The profile with the files that it names, where these are relative, found from its own folder."""
    data = dict(data)
    for section, key in _FILES:
        part = data if section is None else data.get(section)
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, str) and value:
            changed = {**part, key: str(folder / folders.expanded(Path(value)))}  # type: ignore[dict-item]
            data = changed if section is None else {**data, section: changed}
    return data


def _has_no_unit(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().replace(".", "", 1).isdecimal()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unitless_slos(data: Any) -> dict[str, Any]:
    """Limits of a profile's `slo` that are bare numbers, by dotted key: 100 could be seconds or milliseconds."""
    slo = data.get("slo") if isinstance(data, dict) else None
    slo = slo if isinstance(slo, dict) else {}
    return {f"slo.{key}": value for key, value in slo.items() if _has_no_unit(value)}


def _validated(
    data: Any,
    source: str | None,
    error_type: type[LoadgenError],
    flags: Mapping[str, str] | None = None,
    unitless: Mapping[str, Any] | None = None,
) -> Profile:
    """The profile that the data is. Raises `error_type` with every mistake, each once."""

    def where(dotted: str) -> str:
        return _where(dotted, source, flags or {})

    sentences = {
        key: f"{where(key)}: needs a unit, since {value} could be either: write {value}ms or {value}s"
        for key, value in (unitless or {}).items()
    }
    try:
        profile = Profile.model_validate(data)
    except ValidationError as problem:
        sentences = mistakes(problem, data, where, _known_keys, _KEY_VARIABLES) | sentences
    if sentences:
        raise error_type(joined(sentences))
    return profile


def _where(dotted: str, source: str | None, flags: Mapping[str, str]) -> str:
    dotted = " ".join(dotted.split())  # a key may hold line breaks
    flag = next((name for key, name in flags.items() if dotted == key or dotted.startswith(key + ".")), None)
    return flag or (f"{source}: {dotted}" if source else dotted)


def _known_keys(path: Sequence[Any]) -> list[str]:
    model: type[BaseModel] = Profile
    for part in path:
        if part == "targets":
            return list(TargetSpec.model_fields)
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
