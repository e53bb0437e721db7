"""Which models a server holds in memory, changed on request: only for `run --isolate`, which gives each server the
machine to itself by turns."""

from typing import Any

from lmx_loadgen.targets.base import AskModel, Residency
from lmx_loadgen.targets.client import AdminClient


def _asked(path: str, key: str, **fields: Any) -> AskModel:
    """A POST that names the model under `key`, with `fields` beside it."""

    async def ask(cold: AdminClient, model: str) -> str | None:
        return _refusal(await cold.post(path, {key: model, **fields}))

    return ask


async def _lmstudio_unload(cold: AdminClient, model: str) -> str | None:
    """Every instance of it that is loaded."""
    listed = (await cold.get_object("/api/v1/models")).get("models")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    mine = [entry for entry in entries if model in (entry.get("key"), entry.get("id"))]
    instances = [one for entry in mine for one in entry.get("loaded_instances") or [] if isinstance(one, dict)]
    if not instances:
        return "it does not list the model among those it has loaded"
    for instance in instances:
        refusal = _refusal(await cold.post("/api/v1/models/unload", {"instance_id": instance.get("id")}))
        if refusal is not None:
            return refusal
    return None


def _refusal(reply: tuple[int, str] | None) -> str | None:
    if reply is None:
        return "it did not answer"
    status, words = reply
    return None if status == 200 else f"HTTP {status}: {words}"


OLLAMA = Residency(
    load=_asked("/api/chat", "model", messages=[]), unload=_asked("/api/chat", "model", messages=[], keep_alive=0)
)
LMX = Residency(
    load=_asked("/admin/models/load", "model_id"),
    unload=_asked("/admin/models/unload", "model_id"),
    needs_admin_key=True,
)
LMSTUDIO = Residency(load=_asked("/api/v1/models/load", "model"), unload=_lmstudio_unload)
