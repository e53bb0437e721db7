"""llama.cpp's own server, llama-server."""

from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient, version_in


async def quantization(cold: AdminClient, model: str) -> str | None:
    """Only the model's file tells, by its name."""
    path = version_in(await cold.get_object("/props"), "model_path")
    return path.replace("\\", "/").rsplit("/", 1)[-1] or None


LLAMACPP = Dialect(
    name="llamacpp",
    place=3,
    title="llama.cpp's llama-server",
    default_url="http://127.0.0.1:8080/v1",
    quantization=quantization,
    key_env="LLAMA_API_KEY",
    fields=frozenset({"seed", "stream_options", "ignore_eos"}),
    start_hint="start llama-server",
    load_hint="start llama-server with it: llama-server -m FILE",
)
