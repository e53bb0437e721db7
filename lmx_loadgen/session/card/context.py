"""How many tokens a server reads of a prompt, as far as it tells."""

from collections.abc import Mapping
from typing import Any

from lmx_loadgen.targets.client import AdminClient
from lmx_loadgen.targets.models import entry_of

# Opta-LMX's, which it tells administrators alone; Ollama's; LM Studio's; vLLM's.
_ENTRIES = (("/admin/models", "loaded"), ("/api/ps", "models"), ("/api/v0/models", "data"), ("/v1/models", "data"))
_MODEL_KEYS = ("loaded_context_length", "context_length", "max_model_len")


async def context_of(client: AdminClient, model: str) -> int | None:
    """By what llama.cpp's properties, or the server's entry for the model, say; None where they do not. Raises
    httpx.ConnectError and NotInTime."""
    props = await _json(client, "/props")
    settings = props.get("default_generation_settings")
    if isinstance(settings, dict) and (told := _whole(settings.get("n_ctx"))) is not None:
        return told
    for path, key in _ENTRIES if "X-Admin-Key" in client.headers else _ENTRIES[1:]:
        entry = entry_of(await _json(client, path), key, model)
        told = next((number for name in _MODEL_KEYS if (number := _whole(entry.get(name))) is not None), None)
        if told is not None:
            return told
    return None


async def _json(client: AdminClient, path: str) -> Mapping[str, Any]:
    reply = await client.get(path, key=True)
    return reply.data if reply is not None and reply.status == 200 and isinstance(reply.data, dict) else {}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
