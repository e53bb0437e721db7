"""The built-in simulator; without an address, `run` starts one."""

from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient, models_listed, version_in


async def recognize(cold: AdminClient) -> str | None:
    reply = await cold.get("/health")
    is_it = reply is not None and isinstance(reply.data, dict) and reply.data.get("server") == "lmx-loadgen-sim"
    return version_in(reply.data, "version") if reply is not None and is_it else None


SIM = Dialect(
    name="sim",
    title="the built-in simulator",
    default_url=None,
    recognize=recognize,
    loaded=models_listed,
    key_env="LMX_SIM_API_KEY",
    fields=frozenset({"seed", "stream_options", "ignore_eos"}),
)
