"""Ollama."""

from lmx_loadgen.targets import residency
from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient, version_in
from lmx_loadgen.targets.models import chat_models, entry_of


async def loaded(cold: AdminClient) -> list[str]:
    """`/v1/models` lists what is on disk; only `/api/ps` tells what is loaded."""
    return chat_models((await cold.get_object("/api/ps")).get("models"), "name", "model")


async def quantization(cold: AdminClient, model: str) -> str | None:
    details = entry_of(await cold.get_object("/api/ps"), "models", model).get("details")
    return version_in(details, "quantization_level") or None


OLLAMA = Dialect(
    name="ollama",
    place=1,
    title="Ollama",
    default_url="http://127.0.0.1:11434/v1",
    loaded=loaded,
    quantization=quantization,
    key_env="OLLAMA_API_KEY",
    residency=residency.OLLAMA,
    start_hint="start Ollama",
    load_hint="load it: ollama run {model}",
)
