"""What each server's answers look like on the wire: one file a server, on top of plain OpenAI (`base`)."""

from lmx_loadgen.sim.dialects.base import SimDialect
from lmx_loadgen.sim.dialects.llamacpp import LlamaCpp
from lmx_loadgen.sim.dialects.lmstudio import LMStudio
from lmx_loadgen.sim.dialects.lmx import Lmx
from lmx_loadgen.sim.dialects.mlx_lm import MlxLm
from lmx_loadgen.sim.dialects.ollama import Ollama
from lmx_loadgen.sim.dialects.vllm import Vllm

DIALECTS: dict[str, SimDialect] = {
    dialect.name: dialect for dialect in (SimDialect(), Lmx(), Ollama(), LMStudio(), LlamaCpp(), MlxLm(), Vllm())
}
