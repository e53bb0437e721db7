"""LM Studio."""

from typing import Any

from lmx_loadgen.targets import residency
from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient, version_in
from lmx_loadgen.targets.models import chat_models, entry_of


async def _models(cold: AdminClient) -> list[dict[str, Any]] | None:
    data = (await cold.get_object("/api/v0/models")).get("data")
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        return None
    return data if all("state" in entry for entry in data) else None


async def loaded(cold: AdminClient) -> list[str]:
    """It would load on demand, so only what is loaded already may be asked for."""
    return chat_models([entry for entry in await _models(cold) or [] if entry.get("state") == "loaded"], "id")


async def quantization(cold: AdminClient, model: str) -> str | None:
    entry = entry_of({"data": await _models(cold)}, "data", model)
    return version_in(entry, "quantization") or None


LMSTUDIO = Dialect(
    name="lmstudio",
    place=2,
    title="LM Studio",
    default_url="http://127.0.0.1:1234/v1",
    loaded=loaded,
    quantization=quantization,
    key_env="LMSTUDIO_API_KEY",
    residency=residency.LMSTUDIO,
    start_hint="start LM Studio's server",
    load_hint="load it: lms load {model}",
)
