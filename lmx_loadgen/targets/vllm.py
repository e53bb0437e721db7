"""vLLM."""

from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import models_listed, recognized_by_version

VLLM = Dialect(
    name="vllm",
    title="vLLM",
    default_url="http://127.0.0.1:8000/v1",
    recognize=recognized_by_version("/version"),
    loaded=models_listed,
    key_env="VLLM_API_KEY",
    fields=frozenset({"seed", "stream_options", "ignore_eos"}),
    start_hint="start vLLM",
)
