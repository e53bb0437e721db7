"""Opta-LMX: MLX models on a Mac, OpenAI-compatible."""

from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.targets import residency
from lmx_loadgen.targets.base import Dialect

LMX = Dialect(
    name="lmx",
    place=0,
    title="Opta-LMX",
    default_url="http://127.0.0.1:1234/v1",
    key_env="LMX_API_KEY",
    admin_key_env="LMX_ADMIN_KEY",
    # A streamed prompt_tokens is characters ÷ 4, a streamed completion_tokens the number of chunks.
    # It says `stop` also where the limit ended an answer.
    rules=StreamRules(
        usage_prompt_exact=False,
        usage_output_exact=False,
        error_text_prefix="\n\n[Error: ",
        finish_reason_exact=False,
    ),
    fields=frozenset({"stream_options"}),
    residency=residency.LMX,
    start_hint="start Opta-LMX",
    load_hint='load it: curl -X POST {root}/admin/models/load -H "X-Admin-Key: $LMX_ADMIN_KEY" '
    '-H "Content-Type: application/json" -d \'{{"model_id": "{model}"}}\'',
)
