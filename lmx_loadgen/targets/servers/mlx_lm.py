"""mlx_lm.server, the server that comes with mlx-lm."""

from lmx_loadgen.targets.base import Dialect

MLX_LM = Dialect(
    name="mlx-lm",
    place=4,
    title="mlx_lm.server",
    default_url="http://127.0.0.1:8080/v1",
    lists_cache=True,
    key_env="MLX_LM_API_KEY",
    default_model="default_model",  # its own name for the model it was started with
    start_hint="start mlx_lm.server",
    load_hint="start it with the model: mlx_lm.server --model {model}",
)
