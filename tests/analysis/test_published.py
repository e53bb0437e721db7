from pathlib import Path

import pytest

from lmx_loadgen.analysis.model_names import same_weights
from lmx_loadgen.analysis.published import apple_chip, matching
from lmx_loadgen.errors import ProfileError
from lmx_loadgen.store.reference import NAME, PublishedFigure, Reference, Server, read_reference
from lmx_loadgen.system import package_data


@pytest.fixture(scope="module")
def reference() -> Reference:
    return read_reference(package_data.folder("reference") / NAME)


def _found(reference: Reference, model: str, quantization: str | None = None) -> list[PublishedFigure]:
    return matching(reference, model, quantization=quantization, chip="Apple M4 Max")


NAMES = [
    "mlx-community/Qwen2.5-72B-Instruct-4bit",
    "qwen2.5:72b",
    "qwen2.5-72b-instruct@4bit",
    "Qwen2.5-72B-Q4_K_M.gguf",
]


@pytest.mark.parametrize("model", NAMES)
def test_every_server_has_its_own_name_for_the_same_weights(reference: Reference, model: str) -> None:
    figures = _found(reference, model)

    assert sorted((figure.server, figure.toks_per_sec) for figure in figures) == [
        ("lm_studio", 8.31),
        ("lm_studio", 10.86),
        ("ollama", 8.76),
    ]
    assert all(figure.source and figure.same_chip for figure in figures)


@pytest.mark.parametrize(
    ("model", "quantization"),
    [
        ("qwen2.5-coder:72b", None),
        ("mlx-community/Qwen2.5-VL-72B-Instruct-4bit", None),
        ("mlx-community/Qwen2.5-7B-Instruct-1M-4bit", None),
        ("Qwen2.5-72B-Instruct-bf16", None),
        ("qwen2.5:72b-instruct-q8_0", None),
        ("qwen2.5:72b", "Q8_0"),
        ("Qwen2.5-72B-Instruct", None),  # of how many bits, nobody says
        ("qwen2:72b", None),
        ("DeepSeek-R1-Distill-Qwen-72B-4bit", None),
        ("deepseek-r1:8b", None),
        ("default_model", None),
    ],
)
def test_no_figure_rather_than_one_of_other_weights(reference: Reference, model: str, quantization: str | None) -> None:
    assert _found(reference, model, quantization) == []


def test_bits_choose_among_the_figures_of_a_model(reference: Reference) -> None:
    assert [figure.toks_per_sec for figure in _found(reference, "mlx-community/Qwen2.5-32B-Instruct-8bit")] == [13.75]
    assert [figure.toks_per_sec for figure in _found(reference, "qwen2.5:32b", "Q8_0")] == [13.75]
    assert len(_found(reference, "inferencerlabs/MiniMax-M2.5-MLX-6.5bit")) == 4


def test_figures_of_the_same_chip_come_first_and_others_say_that_they_are_not(reference: Reference) -> None:
    figures = matching(reference, "qwen2.5:7b", quantization=None, chip="Apple M3 Ultra")

    assert [(figure.toks_per_sec, figure.same_chip) for figure in figures] == [
        (88.87, True),
        (101.87, False),
        (71.73, False),
        (72.5, False),
    ]
    assert {figure.same_chip for figure in matching(reference, "qwen2.5:7b", quantization=None, chip=None)} == {None}
    on_a_pc = matching(reference, "qwen2.5:7b", quantization=None, chip="Intel(R) Xeon(R)")
    assert {figure.same_chip for figure in on_a_pc} == {False}


def test_an_alias_is_what_it_is_listed_as(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "tiny-1b: {aliases: [acme/Whatever], ollama: {toks_per_sec: 9, source: s, hardware: h}}\n"
        "other-1b: {ollama: {toks_per_sec: 7, source: s, hardware: h}}\n"
    )
    mine = read_reference(path)

    assert [figure.model for figure in matching(mine, "ACME/whatever", quantization=None, chip=None)] == ["tiny-1b"]
    assert [figure.model for figure in matching(mine, "x/Other-1B-Instruct", quantization=None, chip=None)] == [
        "other-1b"
    ]


def test_chips_are_read_out_of_what_sources_write() -> None:
    assert apple_chip("Mac Studio M3 Ultra 256 GB, 80-core GPU") == "M3 Ultra"
    assert apple_chip("Apple M4") == "M4"
    assert apple_chip("M4 Max 128 GB") == "M4 Max"
    assert apple_chip("GeForce RTX 4090") is None


def test_what_makes_another_model() -> None:
    assert same_weights("llama3.1:8b", "mlx-community/Meta-Llama-3.1-8B-Instruct-4bit")
    assert same_weights("Qwen3.6-35B-A3B", "qwen3.6-35b-a3b@4bit")
    assert not same_weights("mistral", "mistral")  # nothing says which
    assert not same_weights("llama3.1:8b", "llama3.2:8b")
    assert not same_weights("llama-3.1-8b", "llama-3.1-70b")
    assert not same_weights("qwen3-4b", "qwen3-4b-2507")
    assert not same_weights("gemma-4-12b", "gemma-8-12b")  # a bare number is a generation, no width of weights
    assert same_weights("gemma-3-27b-it-bf16", "gemma3:27b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m: {ollama: {toks_per_sec: 1, hardware: h}}", "m.ollama.0.source: field required"),
        ("m: {ollama: {toks_per_sec: -1, source: s, hardware: h}}", "m.ollama.0.toks_per_sec: input should be greater"),
        ("m: {olama: {source: s, hardware: h}}", "m.olama: extra inputs are not permitted"),
        (
            "m: {ollama: {toks_per_sec: fast, source: s, hardware: h}}",
            "m.ollama.0.toks_per_sec: input should be a valid",
        ),
        ("- m", "must hold a mapping of settings, as a reference file does"),
        ("m: &a {ollama: []}\nn: *a", "aliases are not allowed"),
        ("m: [", "is not valid YAML"),
    ],
)
def test_a_reference_file_with_a_mistake_is_refused_by_name_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(ProfileError) as error:
        read_reference(path)

    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_values_may_be_missing_or_null(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("m-1b: {ollama: {toks_per_sec: null, source: s, hardware: h}}\n")

    assert read_reference(path).figures[0].toks_per_sec is None


def test_figures_of_the_same_kind_of_file_come_first(reference: Reference) -> None:
    def rates(model: str, server: Server | None) -> list[float | None]:
        found = matching(reference, model, quantization=None, chip="Apple M4 Max", server=server)
        return [figure.toks_per_sec for figure in found]

    assert rates("qwen2.5:72b", "ollama")[-1] == rates("Qwen2.5-72B-Q4_K_M.gguf", None)[-1] == 10.86
    assert rates("mlx-community/Qwen2.5-72B-Instruct-4bit", "opta_lmx")[0] == 10.86
    assert rates("qwen2.5-72b-instruct@4bit", "lm_studio")[0] == 10.86  # in doubt, as the file has them


def test_a_chip_with_other_graphics_cores_is_another_one(reference: Reference) -> None:
    def same(chip: str) -> set[bool | None]:
        return {one.same_chip for one in matching(reference, "qwen2.5:72b", quantization=None, chip=chip)}

    assert same("Apple M4 Max, 40-core GPU") == {True}
    assert same("Apple M4 Max, 32-core GPU") == {False}
    assert same("Apple M4 Max") == {True}


def test_no_name_belongs_to_two_models(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    figure = "{toks_per_sec: 5, source: s, hardware: h}"
    path.write_text(f"a: {{aliases: [Foo], ollama: {figure}}}\nb: {{aliases: [foo], ollama: {figure}}}\n")

    with pytest.raises(ProfileError, match="'foo' is a name of both 'a' and 'b'"):
        read_reference(path)
