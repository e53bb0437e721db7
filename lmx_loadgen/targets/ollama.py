"""Ollama."""

from lmx_loadgen.targets import residency
from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient, entry_of, ids, recognized_by_version, version_in


async def loaded(cold: AdminClient) -> list[str]:
    """`/v1/models` lists what is on disk; only `/api/ps` tells what is loaded."""
    reply = await cold.get("/api/ps", key=True)
    return ids(reply.data.get("models"), "name", "model") if reply is not None and isinstance(reply.data, dict) else []


async def quantization(cold: AdminClient, model: str) -> str | None:
    reply = await cold.get("/api/ps", key=True)
    details = entry_of(reply.data if reply is not None else None, "models", model).get("details")
    return version_in(details, "quantization_level") or None


OLLAMA = Dialect(
    name="ollama",
    title="Ollama",
    default_url="http://127.0.0.1:11434/v1",
    recognize=recognized_by_version("/api/version"),
    loaded=loaded,
    quantization=quantization,
    key_env="OLLAMA_API_KEY",
    residency=residency.OLLAMA,
    start_hint="start Ollama",
)
