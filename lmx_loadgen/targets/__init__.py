"""The servers that can be measured, by name."""

from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.llamacpp import LLAMACPP
from lmx_loadgen.targets.lmstudio import LMSTUDIO
from lmx_loadgen.targets.lmx import LMX
from lmx_loadgen.targets.mlx_lm import MLX_LM
from lmx_loadgen.targets.ollama import OLLAMA
from lmx_loadgen.targets.openai import OPENAI
from lmx_loadgen.targets.sim import SIM
from lmx_loadgen.targets.vllm import VLLM

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (LMX, OLLAMA, LMSTUDIO, LLAMACPP, MLX_LM, VLLM, OPENAI, SIM)
}
