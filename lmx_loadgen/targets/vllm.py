"""vLLM."""

from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient, models_listed, version_in


async def recognize(cold: AdminClient) -> str | None:
    reply = await cold.get("/version")
    if reply is None or reply.status != 200 or not isinstance(reply.data, dict) or "version" not in reply.data:
        return None
    return version_in(reply.data, "version")


VLLM = Dialect(
    name="vllm",
    title="vLLM",
    default_url="http://127.0.0.1:8000/v1",
    recognize=recognize,
    loaded=models_listed,
    key_env="VLLM_API_KEY",
    fields=frozenset({"seed", "stream_options", "ignore_eos"}),
    start_hint="start vLLM",
)
