"""llama.cpp's own HTTP server, out of the `xllamacpp` wheel, as a process of its own on 127.0.0.1.

    python -m tests.helpers.servers.serve_llama_cpp PORT MODEL.gguf [key=value ...]

`n_threads` (compute threads), `alias` (the model name to report) and `nice` (give way to others by so much) are
handled here; every other key is a field of llama.cpp's parameters: `n_ctx=8192` (for all slots together),
`n_parallel=4`, … Ends when standard input is closed, on SIGTERM, and after `lifetime` seconds (default 1800).
"""

import os
import sys
import threading
from enum import Enum
from pathlib import Path
from typing import Any

from tests.helpers.servers.lifetime import end_with_parent


def main(arguments: list[str]) -> None:
    port, model = int(arguments[0]), Path(arguments[1])
    options = dict(argument.split("=", 1) for argument in arguments[2:])
    end_with_parent(int(options.pop("lifetime", "1800")))
    os.nice(int(options.pop("nice", "0")))

    import xllamacpp

    server = xllamacpp.Server(parameters(xllamacpp, port, model, options))
    print("listening at", server.listening_address, flush=True)
    threading.Event().wait()


def parameters(xllamacpp: Any, port: int, model: Path, options: dict[str, str]) -> Any:
    """llama.cpp's parameters: one slot, 4,096 tokens of context, one thread, or what `options` say."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 4096, 1, 0
    params.endpoint_metrics = params.endpoint_slots = params.endpoint_props = True
    params.use_jinja = True
    n_threads = int(options.pop("n_threads", "1"))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = n_threads
    if alias := options.pop("alias", None):
        params.model_alias = {alias}
    for name, text in options.items():
        setattr(params, name, converted(text, like=getattr(params, name)))
    return params


def converted(text: str, like: object) -> object:
    """`text` as the type that the parameter has already."""
    if isinstance(like, bool):
        return text.lower() in ("1", "true")
    if isinstance(like, Enum):  # members are named like LLAMA_LOAD_MODE_AUTO: the last word is enough
        return next(member for member in type(like) if member.name.endswith(f"_{text.upper()}"))
    return type(like)(text) if isinstance(like, int | float | str) else text.split(",")


if __name__ == "__main__":
    main(sys.argv[1:])
