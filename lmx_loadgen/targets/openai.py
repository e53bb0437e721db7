"""Any other server that speaks the OpenAI API: the address is yours, and nobody is asked who answers."""

from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.client import models_listed

OPENAI = Dialect(
    name="openai",
    title="an OpenAI-compatible server",
    default_url=None,
    recognize=None,
    loaded=models_listed,
    key_env="OPENAI_API_KEY",
)
