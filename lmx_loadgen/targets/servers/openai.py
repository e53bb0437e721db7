"""Any other server that speaks the OpenAI API: what is known of it is its address."""

from lmx_loadgen.targets.base import Dialect

OPENAI = Dialect(
    name="openai",
    place=98,
    title="an OpenAI-compatible server",
    default_url=None,
    key_env="OPENAI_API_KEY",
)
