"""What a server has: models in memory and on disk, their sizes, and which of them a cloud computes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.system.api_keys import Keys
from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient
from lmx_loadgen.targets.models import ModelList, chat_models, list_models
from lmx_loadgen.targets.products import Identity

_MOST_MODELS, _MOST_LETTERS = 1_000, 300
# Products that list what they could serve and load it on request: how they tell what is in memory.
_WHERE_LOADED = {
    "localai": ("/system", "loaded_models", ("id",)),
    "llama-swap": ("/running", "running", ("model",)),
    "omlx": ("/v1/models/status", "models", ("id",)),
}
# Those that do not tell.
_UNTOLD = frozenset({"osaurus", "gpt4all", "mlx-omni-server", "docker-model-runner", "exo", "litellm"})


@dataclass(frozen=True, slots=True)
class Inventory:
    """Models by name: those `loaded`, all that are `installed`, sizes in bytes where they are told.

    `tells_loaded` is false where the server does not say what is loaded. `status` and `words` are those of its list of
    models (0: no answer).
    """

    loaded: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    cloud: frozenset[str] = frozenset()
    tells_loaded: bool = True
    status: int = 200
    words: str = ""

    @property
    def is_list(self) -> bool:
        return self.status == 200

    @property
    def here(self) -> tuple[str, ...]:
        """The loaded models that this machine computes."""
        return tuple(name for name in self.loaded if name not in self.cloud)

    def redacted(self, keys: Keys) -> "Inventory":
        """The same with every key in it masked."""
        if not keys:
            return self
        loaded, installed = (tuple(map(keys.redact, names)) for names in (self.loaded, self.installed))
        return replace(self, loaded=loaded, installed=installed, words=keys.redact(self.words))


Parts = tuple[list[str], list[str], list[Any]]  # loaded, installed, entries that may tell a size


async def take_inventory(client: AdminClient, identity: Identity | None, dialect: Dialect) -> Inventory:
    """Ask a server, with the client's keys, what it has. Raises httpx.ConnectError and NotInTime."""
    listed = await list_models(client)
    if not listed.is_list:
        return Inventory(status=listed.status if listed.status != 200 else 0, words=listed.words)
    name = identity.product.name if identity is not None else ""
    loaded, installed, entries = await _ASKED.get(dialect.name, _by_product(name))(client, dialect, listed)
    tells = name not in _UNTOLD and not (dialect.name == "mlx-lm" and len(installed) != 1)

    def shown(names: list[str]) -> tuple[str, ...]:
        safe = (plain(client.keys.redact(one), _MOST_LETTERS) for one in names[:_MOST_MODELS])
        return tuple(dict.fromkeys(one for one in safe if one))

    found = Inventory(shown(loaded), shown(loaded + installed), tells_loaded=tells)
    return replace(found, sizes=_sizes(entries, found.installed), cloud=_cloud(entries, found.installed))


def _by_product(name: str) -> Callable[[AdminClient, Dialect, ModelList], Awaitable[Parts]]:
    async def ask(client: AdminClient, dialect: Dialect, listed: ModelList) -> Parts:
        if name in _UNTOLD:
            return [], [*listed.loaded, *listed.unloaded], []
        if name == "text-generation-webui":
            return await _text_generation_webui(client)
        if name in _WHERE_LOADED:
            path, key, keys = _WHERE_LOADED[name]
            entries = _list_in(await client.get(path, key=True), key)
            loaded = chat_models([one for one in entries if one.get("loaded") is not False], *keys)
            return loaded, [*listed.loaded, *listed.unloaded], entries
        return list(listed.loaded), list(listed.unloaded), _list_in(await client.get_api("/models"), "data")

    return ask


async def _ollama(client: AdminClient, dialect: Dialect, listed: ModelList) -> Parts:
    entries = _list_in(await client.get("/api/tags", key=True), "models")
    running = _list_in(await client.get("/api/ps", key=True), "models")
    return chat_models(running, "name", "model"), chat_models(entries, "name", "model"), [*entries, *running]


async def _lmstudio(client: AdminClient, dialect: Dialect, listed: ModelList) -> Parts:
    loaded = await dialect.loaded(client) if dialect.loaded is not None else []
    entries = _list_in(await client.get("/api/v1/models", key=True), "models")
    return loaded, [*listed.loaded, *listed.unloaded], entries


async def _opta_lmx(client: AdminClient, dialect: Dialect, listed: ModelList) -> Parts:
    """What is on disk it tells administrators alone."""
    reply = await client.get("/admin/models/available", key=True) if "X-Admin-Key" in client.headers else None
    data = reply.data if reply is not None and reply.status == 200 else None
    entries = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    return list(listed.loaded), chat_models(entries, "repo_id"), entries


async def _mlx_lm(client: AdminClient, dialect: Dialect, listed: ModelList) -> Parts:
    """It lists the whole cache on disk: only a single model is certainly the one it serves."""
    models = [*listed.loaded, *listed.unloaded]
    return models if len(models) == 1 else [], models, []


async def _text_generation_webui(client: AdminClient) -> Parts:
    about = await client.get("/v1/internal/model/info", key=True)
    name = about.data.get("model_name") if about is not None and isinstance(about.data, dict) else None
    reply = await client.get("/v1/internal/model/list", key=True)
    names = reply.data.get("model_names") if reply is not None and isinstance(reply.data, dict) else None
    installed = [one for one in names if isinstance(one, str)] if isinstance(names, list) else []
    return [name] if isinstance(name, str) and name not in ("", "None") else [], installed, []


_ASKED: Mapping[str, Callable[[AdminClient, Dialect, ModelList], Awaitable[Parts]]] = {
    "ollama": _ollama,
    "lmstudio": _lmstudio,
    "lmx": _opta_lmx,
    "mlx-lm": _mlx_lm,
}


def _list_in(reply: Any, key: str) -> list[dict[str, Any]]:
    """The objects in the list that stands under `key`."""
    data = reply.data.get(key) if reply is not None and isinstance(reply.data, dict) else None
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def _sizes(entries: list[Any], names: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        meta = entry.get("meta") if isinstance(entry.get("meta"), dict) else {}
        sizes = (entry.get("size_bytes"), entry.get("size"), meta.get("size"), entry.get("estimated_size"))
        size = next((one for one in sizes if isinstance(one, int) and not isinstance(one, bool) and one > 0), None)
        for key in ("name", "key", "id", "repo_id", "model"):
            if size is not None and entry.get(key) in names:
                found.setdefault(entry[key], size)
    return found


def _cloud(entries: list[Any], names: tuple[str, ...]) -> frozenset[str]:
    """Ollama lists models that its makers' machines compute beside those of this one."""
    remote = {entry.get("name") for entry in entries if entry.get("remote_host")}
    return frozenset(name for name in names if name in remote or name.endswith(("-cloud", ":cloud")))
