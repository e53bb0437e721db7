"""Finds the tokenizer that lies beside a model on this machine."""

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from lmx_loadgen.targets.models import hub_name

NAME = "tokenizer.json"
_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def tokenizer_beside(model: str, env: Mapping[str, str], home: Path | None) -> str | None:
    """The `tokenizer.json` of a model by its path, or of its copy in Hugging Face's cache or LM Studio's folder.

    None where there is none, or the package that reads it is not installed.
    """
    if find_spec("tokenizers") is None:
        return None
    try:
        return next((str(file) for file in _places(model, env, home) if file.is_file()), None)
    except (OSError, ValueError):  # a name too long, or with a NUL character
        return None


def _places(model: str, env: Mapping[str, str], home: Path | None) -> Iterator[Path]:
    path = Path(model)
    if path.is_absolute():
        yield path / NAME
        yield path.parent / NAME  # the model is one file
    name = hub_name(model)
    if not _HUB_NAME.match(name):
        return
    for cache in _hub_caches(env, home):
        snapshots = (cache / f"models--{name.replace('/', '--')}" / "snapshots").glob("*")
        yield from (folder / NAME for folder in sorted(snapshots, key=_changed, reverse=True))
    if home is not None:
        yield home / ".lmstudio" / "models" / name / NAME


def _hub_caches(env: Mapping[str, str], home: Path | None) -> Iterator[Path]:
    if cache := env.get("HF_HUB_CACHE"):
        yield Path(cache)
    if hub := env.get("HF_HOME"):
        yield Path(hub) / "hub"
    if home is not None:
        yield home / ".cache" / "huggingface" / "hub"


def _changed(folder: Path) -> float:
    return folder.stat().st_mtime
