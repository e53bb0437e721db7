"""mlx_lm.server, the server that comes with mlx-lm."""

from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import AdminClient, models_listed


async def recognize(cold: AdminClient) -> str | None:
    reply = await cold.get("/health")
    is_it = (
        reply is not None
        and reply.headers.get("server", "").startswith("BaseHTTP")
        and isinstance(reply.data, dict)
        and reply.data.get("status") == "ok"
    )
    return "" if is_it else None


async def loaded(cold: AdminClient) -> list[str]:
    """`/v1/models` lists every model in the cache on disk: only a single one is certainly the one it serves."""
    listed = await models_listed(cold)
    return listed if len(listed) == 1 else []


MLX_LM = Dialect(
    name="mlx-lm",
    title="mlx_lm.server",
    default_url="http://127.0.0.1:8080/v1",
    recognize=recognize,
    loaded=loaded,
    key_env="MLX_LM_API_KEY",
    default_model="default_model",  # its own name for the model it was started with
    start_hint="start mlx_lm.server",
)
