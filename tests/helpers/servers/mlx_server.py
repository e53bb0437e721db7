"""mlx_lm's own HTTP server: on macOS on the GPU, on Linux on the CPU (`mlx[cpu]`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tests.helpers.servers.server_process import RealServer, child_server, free_port


@contextmanager
def run_mlx_server(model: Path, *options: str, start_within: float = 120) -> Iterator[RealServer]:
    """A server for the model folder `model`, up while the `with` block runs; `options` are its own."""
    port = free_port()
    arguments = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port), *options]
    with TemporaryDirectory() as home:
        # It lists the models of the Hugging Face cache, and fails when that folder does not exist: give it an
        # empty one, so that it reports our model alone and fetches nothing.
        (Path(home) / "hub").mkdir()
        environment = {"HF_HOME": home, "HF_HUB_CACHE": f"{home}/hub", "HF_HUB_OFFLINE": "1"}
        url = f"http://127.0.0.1:{port}"
        with child_server("serve_mlx_lm", arguments, url, _answers, start_within, environment) as server:
            yield server


def _answers(url: str) -> bool:
    """`/health` is ok before the model is loaded; a first token says that it is."""
    if httpx.get(f"{url}/health", timeout=5).status_code != 200:
        return False
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).status_code == 200
