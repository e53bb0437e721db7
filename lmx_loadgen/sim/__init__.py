"""The embedded server: OpenAI-compatible, with known timing, the dialects of real servers, and faults on demand.

It is the demo, the test bed, and the ruler: its log says when each request was there and when each chunk was
written (`truth`). `process.start` runs it in a process of its own, `server.serve` runs it in this one. Nothing of it
is imported here, because the child must answer a fraction of a second after it was started.
"""

from typing import Literal, get_args

# The servers it can imitate, by the names that `--dialect` and the settings take.
DialectName = Literal["openai", "lmx", "ollama", "lmstudio", "llamacpp", "mlx-lm", "vllm"]
DIALECT_NAMES: tuple[DialectName, ...] = get_args(DialectName)
