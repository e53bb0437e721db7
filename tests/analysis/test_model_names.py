import pytest

from lmx_loadgen.analysis.model_names import read_name, weight_bits


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mlx-community/Qwen2.5-7B-Instruct-4bit", "qwen2.5:7b-instruct-q4_K_M"),
        ("mlx-community/Llama-3.2-3B-Instruct-4bit", "llama3.2:3b"),
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "llama3.1:8b"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral:7b"),
        ("gemma-3-4b-it", "gemma3:4b"),
        ("/models/SmolLM2-135M-Instruct-Q4_K_M.gguf", "smollm2:135m"),
        ("mlx-community/Qwen3-30B-A3B-4bit", "qwen3:30b-a3b"),
    ],
)
def test_the_same_model_by_two_names(one: str, other: str) -> None:
    a, b = read_name(one), read_name(other)

    assert (a.family, a.size, a.variants) == (b.family, b.size, b.variants)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Qwen2.5-7B-Instruct", "qwen2.5:14b"),
        ("Qwen2.5-7B-Instruct", "qwen3:8b"),
        ("Qwen2.5-7B-Instruct", "qwen2.5-coder:7b"),
        ("Qwen2.5-7B-Instruct", "Qwen2.5-VL-7B-Instruct"),
    ],
)
def test_other_models(one: str, other: str) -> None:
    a, b = read_name(one), read_name(other)

    assert (a.family, a.size, a.variants) != (b.family, b.size, b.variants)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("Q4_K_M", 4), ("q8_0", 8), ("IQ3_XS", 3), ("4bit", 4), ("Qwen2.5-7B-Instruct-8bit", 8), ("F16", 16),
        ("bf16", 16), ("model-fp16", 16), ("mxfp4", 4), ("int8", 8), ("gpt-oss-20b-MXFP4", 4),
        ("SmolLM2-135M-Instruct-Q4_K_M.gguf", 4),
        ("Qwen2.5-7B-Instruct", None), ("mistral-7b-instruct-v0.3", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_bits_of_a_weight(text: str | None, bits: int | None) -> None:
    assert weight_bits(text) == bits
