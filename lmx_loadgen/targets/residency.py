"""Which models a server holds in memory, changed on request: only for `run --isolate`, which gives each server the
machine to itself by turns."""

from lmx_loadgen.targets.base import Residency
from lmx_loadgen.targets.client import AdminClient


async def _ollama_load(cold: AdminClient, model: str) -> str | None:
    return _refusal(await cold.post("/api/chat", {"model": model, "messages": []}))


async def _ollama_unload(cold: AdminClient, model: str) -> str | None:
    return _refusal(await cold.post("/api/chat", {"model": model, "messages": [], "keep_alive": 0}))


async def _lmx_load(cold: AdminClient, model: str) -> str | None:
    return _refusal(await cold.post("/admin/models/load", {"model_id": model}))


async def _lmx_unload(cold: AdminClient, model: str) -> str | None:
    return _refusal(await cold.post("/admin/models/unload", {"model_id": model}))


async def _lmstudio_load(cold: AdminClient, model: str) -> str | None:
    return _refusal(await cold.post("/api/v1/models/load", {"model": model}))


async def _lmstudio_unload(cold: AdminClient, model: str) -> str | None:
    """Every instance of it that is loaded."""
    reply = await cold.get("/api/v1/models", key=True)
    listed = reply.data.get("models") if reply is not None and isinstance(reply.data, dict) else None
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


OLLAMA = Residency(_ollama_load, _ollama_unload)
LMX = Residency(_lmx_load, _lmx_unload, needs_admin_key=True)
LMSTUDIO = Residency(_lmstudio_load, _lmstudio_unload)
