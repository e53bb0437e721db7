"""llama.cpp's own HTTP server (`llama-server`), out of the `xllamacpp` wheel."""

from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from tests.helpers.servers.server_process import RealServer, child_server, free_port


def run_llama_server(
    model: Path,
    *,
    n_parallel: int = 1,
    n_ctx_per_slot: int = 4096,
    n_threads: int = 1,
    alias: str | None = None,
    start_within: float = 120,
    port: int | None = None,
    **parameters: object,
) -> AbstractContextManager[RealServer]:
    """A server for the GGUF file `model`, up while the `with` block runs.

    Without `alias` it reports the file's path as the model's name, as llama-server does. Like llama-server it
    serves any model name that a request gives. Without `port` it takes a free one. `parameters` are more of
    llama.cpp's own, as `sse_ping_interval=1`.

    One thread is the default because llama.cpp's threads wait for each other in a busy loop: with as many as
    there are processors, one busy neighbour (as the client under test is) makes it a hundred times slower.
    """
    port = port or free_port()
    options = parameters | {
        "n_parallel": n_parallel,
        "n_ctx": n_ctx_per_slot * n_parallel,  # llama.cpp divides the context among its slots
        "n_threads": n_threads,
    }
    if alias is not None:
        options["alias"] = alias
    arguments = [str(port), str(model), *(f"{name}={value}" for name, value in options.items())]
    return child_server("serve_llama_cpp", arguments, f"http://127.0.0.1:{port}", _healthy, start_within)


def _healthy(url: str) -> bool:
    # 503 while the model loads.
    return httpx.get(f"{url}/health", timeout=5).status_code == 200
