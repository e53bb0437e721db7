import pytest

from lmx_loadgen.analysis.hypothesis import active_weights, hypothesis
from lmx_loadgen.store.reference import CHIPS, NAME, Server, read_bandwidths, read_reference
from lmx_loadgen.store.result import Hypothesis
from lmx_loadgen.system import package_data
from tests.helpers.snapshots import numbers_in

REFERENCE = read_reference(package_data.folder("reference") / NAME)
BANDWIDTHS = read_bandwidths(package_data.folder("reference") / CHIPS)


def expected(model: str, chip: str | None, quantization: str | None = None, server: Server | None = None) -> Hypothesis:
    return hypothesis(REFERENCE, BANDWIDTHS, model=model, quantization=quantization, server=server, chip=chip)


def test_figures_published_on_this_chip_are_expected_the_servers_own_first() -> None:
    lm_studio = expected("mlx-community/Qwen2.5-7B-Instruct-4bit", "Apple M4 Max", server="lm_studio")
    ollama = expected("qwen2.5:7b", "Apple M4 Max", server="ollama")

    assert (lm_studio.kind, lm_studio.toks_per_sec) == ("published", 101.87)
    assert (ollama.kind, ollama.toks_per_sec) == ("published", 72.5)
    assert "Ollama 72.5 tok/s (GGUF 4bit), github.com/itsmostafa/inference-speed-tests" in ollama.sentence


def test_figures_of_another_chip_are_shown_but_not_expected() -> None:
    found = expected("qwen2.5:7b", "Apple M2 Max")

    assert found.kind == "bandwidth"
    assert {figure.same_chip for figure in found.figures} == {False}


def test_memory_bounds_what_can_be_expected() -> None:
    found = expected("mlx-community/Qwen2.5-72B-Instruct-4bit", "Apple M2 Ultra")

    # 72 B weights of 4.5 bits are 40.5 GB, and 800 GB/s read them 19.75 times a second.
    assert found.toks_per_sec == pytest.approx(800 / 40.5)
    assert numbers_in(found.sentence) == [19.8, 800, 40.5, 72, 4.5]


def test_only_the_active_weights_of_a_mixture_of_experts_count() -> None:
    found = expected("mlx-community/Qwen3-30B-A3B-4bit", "Apple M2 Ultra")

    assert found.toks_per_sec == pytest.approx(800 / (3 * 4.5 / 8))


@pytest.mark.parametrize(
    ("model", "chip", "quantization"),
    [
        ("mlx-community/Qwen2.5-72B-Instruct-4bit", "Intel(R) Xeon(R)", None),
        ("mlx-community/Qwen2.5-72B-Instruct-4bit", None, None),
        ("Qwen2.5-14B-Instruct", "Apple M2 Ultra", None),  # of how many bits, nobody says
        ("mistral-small", "Apple M2 Ultra", "Q4_K_M"),  # of what size
        ("Mistral-Large-3-675B-Instruct-2512-IQ4_XS.gguf", "Apple M3 Ultra", None),
        ("mixtral-8x7b-4bit", "Apple M2 Ultra", None),  # how many of its experts take part
        ("gpt-oss-120b-4bit", "Apple M2 Ultra", None),
        ("qwen3:30b", "Apple M2 Ultra", None),  # a mixture of experts, though its name does not say so
        ("qwen3:235b", "Apple M2 Ultra", None),
        ("Qwen3-Next-80B-4bit", "Apple M2 Ultra", None),
        ("qwen3-coder:30b", "Apple M2 Ultra", None),
        ("llama4-scout-109b-4bit", "Apple M2 Ultra", None),
    ],
)
def test_where_something_is_not_known_nothing_is_expected(
    model: str, chip: str | None, quantization: str | None
) -> None:
    found = expected(model, chip, quantization)

    assert (found.kind, found.toks_per_sec, found.ttft_sec) == ("none", None, None)


def test_the_servers_word_for_its_weights_counts() -> None:
    q8 = expected("qwen2.5:14b", "Apple M2 Ultra", "Q8_0")
    half = expected("Qwen2.5-14B-Instruct", "Apple M2 Ultra", "F16")

    assert q8.toks_per_sec == pytest.approx(800 / (14 * 8.5 / 8))
    assert half.toks_per_sec == pytest.approx(800 / (14 * 2))


def test_what_a_name_tells_of_its_weights() -> None:
    assert active_weights("SmolLM2-135M-Instruct") == 135e6
    assert active_weights("mlx-community/Qwen3.6-35B-A3B-4bit") == 3e9
    assert active_weights("Llama-3.3-70B-Instruct") == 70e9
    assert active_weights("inferencerlabs/MiniMax-M2.5-MLX-6.5bit") is None
    assert active_weights("qwen3:32b") == 32e9


def test_of_two_kinds_of_file_the_same_kind_is_expected_and_named() -> None:
    gguf = expected("Qwen2.5-7B-Instruct-Q4_K_M.gguf", "Apple M4 Max", server="llama_cpp")
    mlx = expected("mlx-community/Qwen2.5-7B-Instruct-4bit", "Apple M4 Max", server="opta_lmx")

    assert (gguf.toks_per_sec, gguf.of) == (71.73, "LM Studio GGUF 4bit")
    assert (mlx.toks_per_sec, mlx.of) == (101.87, "LM Studio MLX 4bit")


def test_figures_of_long_prompts_are_told_and_not_expected() -> None:
    found = expected("minimax-m2.1@4bit", "Apple M3 Ultra", server="lm_studio")

    assert "30,000 tokens of prompt" in found.sentence
    assert (found.kind, found.toks_per_sec, found.ttft_sec, found.of) == ("published", None, None, None)


def test_a_lean_format_is_not_bounded_too_low() -> None:
    found = expected("Llama-3.3-70B-Instruct-IQ4_XS.gguf", "Apple M2 Ultra")

    assert found.toks_per_sec == pytest.approx(800 / 35)  # of 4.25 bits a weight in truth


def test_a_bound_of_thousands_is_a_plain_number() -> None:
    assert "at most about 2,844 tok/s" in expected("qwen2.5:0.5b", "Apple M2 Ultra").sentence
