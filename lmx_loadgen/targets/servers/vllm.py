"""vLLM."""

from lmx_loadgen.targets.base import Dialect

VLLM = Dialect(
    name="vllm",
    place=5,
    title="vLLM",
    default_url="http://127.0.0.1:8000/v1",
    key_env="VLLM_API_KEY",
    fields=frozenset({"seed", "stream_options", "ignore_eos", "min_tokens"}),
    start_hint="start vLLM",
    load_hint="start vLLM with it: vllm serve {model}",
)
