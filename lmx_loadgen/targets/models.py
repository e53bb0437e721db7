"""Which models a server lists, and which of them are loaded: lists come in many shapes."""

import re
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.targets.client import AdminClient

_MAX_NAME = 500
_HUB_FOLDER = re.compile(r"(?:^|/)models--([^/]+?)--([^/]+)(?:/|$)")
_LOADED_WORDS = {"loaded": True, "running": True, "ready": True, "unloaded": False, "not-loaded": False}
_LOADED_WORDS |= {"not_loaded": False, "loading": False, "sleeping": False, "failed": False}


@dataclass(frozen=True, slots=True)
class ModelList:
    """What `GET …/models` says: the chat models in memory, and others that are there but not in it.

    `is_list` is false where the answer is no list of models; `status` and `words` are the answer's own (0: none came).
    """

    loaded: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    is_list: bool = True
    status: int = 200
    words: str = ""


async def list_models(client: AdminClient) -> ModelList:
    """The models of `GET /v1/models`. One that has no flag counts as loaded: most servers list what they serve."""
    reply = await client.get_api("/models")
    if reply is None:
        return ModelList(is_list=False, status=0)
    entries = _entries(reply.data) if reply.status == 200 else None
    if entries is None:
        return ModelList(is_list=False, status=reply.status, words=reply.words)
    loaded = [(name, _is_loaded(entry)) for entry in entries for name in chat_models([entry], "id", "name", "model")]
    return ModelList(
        tuple(dict.fromkeys(name for name, flag in loaded if flag is not False)),
        tuple(dict.fromkeys(name for name, flag in loaded if flag is False)),
    )


def chat_models(entries: Any, *keys: str) -> list[str]:
    """The names in a list of objects, by the first of `keys` each one has; embedding models are left out."""
    found: dict[str, None] = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or "embed" in str(entry.get("type", "")).lower():
            continue
        name = next((entry[key] for key in keys if isinstance(entry.get(key), str) and entry[key]), None)
        if name is not None and len(name) <= _MAX_NAME and not _sounds_like_embedding(name):
            found[name] = None
    return list(found)


def hub_name(model: str) -> str:
    """`org/name` for a path into Hugging Face's cache (`…/models--org--name/snapshots/…`); other names as they are."""
    match = _HUB_FOLDER.search(model.replace("\\", "/"))
    return f"{match[1]}/{match[2]}" if match else model


def entry_of(data: Any, key: str, model: str) -> dict[str, Any]:
    """The entry for a model in a list of objects that stands under `key`; empty when there is none."""
    entries = data.get(key) if isinstance(data, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and model in (entry.get("id"), entry.get("name"), entry.get("model")):
            return entry
    return {}


def _entries(data: Any) -> list[Any] | None:
    """The list in an answer, bare or under `data` or `models`; None where there is none. Names alone are entries."""
    if isinstance(data, dict):
        data = next((data[key] for key in ("data", "models") if isinstance(data.get(key), list)), None)
    if not isinstance(data, list):
        return None
    return [{"id": entry} if isinstance(entry, str) else entry for entry in data]


def _is_loaded(entry: dict[str, Any]) -> bool | None:
    """Whether an entry says that its model is in memory; None where it does not say."""
    for key in ("loaded", "is_loaded", "state", "status"):
        value = entry.get(key)
        if isinstance(value, dict):  # llama-server's router
            value = value.get("value")
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _LOADED_WORDS:
            return _LOADED_WORDS[value.lower()]
    return None


def _sounds_like_embedding(name: str) -> bool:
    last = name.lower().rsplit("/", 1)[-1]
    return "embed" in last or last.startswith(("bge-", "e5-", "gte-", "all-minilm")) or "reranker" in last
