"""What a run offers when it is told no target: pairs of one model first, and nothing that costs money by itself."""

import pytest

from lmx_loadgen.session.choice import automatic, fits_into, offers, same_pairs, weight_bytes
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.found import FoundServer
from lmx_loadgen.targets.inventory import Inventory
from lmx_loadgen.targets.products import Identity, Product
from lmx_loadgen.targets.recognize import LITELLM, LM_STUDIO, MLX_LM, OLLAMA

GB = 10**9
MLX, GGUF = "mlx-community/Qwen3-8B-4bit", "qwen3:8b"
ROOMY, TIGHT, UNKNOWN = fits_into(64.0), fits_into(8.0), fits_into(None)


def server(
    product: Product,
    loaded: tuple[str, ...] = (),
    installed: tuple[str, ...] = (),
    url: str | None = None,
    *,
    tells_loaded: bool = True,
    **sizes: int,
) -> FoundServer:
    dialect = DIALECTS[product.dialect]
    inventory = Inventory(loaded, loaded + installed, sizes, tells_loaded=tells_loaded)
    base = url or str(dialect.default_url or "http://127.0.0.1:4000/v1")
    return FoundServer(
        dialect.name if not dialect.is_generic else product.name, base, dialect, Identity(product), inventory
    )


def test_every_known_local_server_with_a_model_is_taken() -> None:
    found = [
        server(OLLAMA, (GGUF,)),
        server(LM_STUDIO, installed=(MLX,)),
        server(LITELLM, ("gpt",)),
        server(OLLAMA, ("far",), url="http://192.168.1.9:11434/v1"),
        server(MLX_LM, installed=("a", "b"), tells_loaded=False),
    ]
    chosen = automatic(found)

    assert chosen is not None
    assert (chosen.targets, chosen.models, chosen.isolate) == (("ollama",), (), False)
    assert automatic(found[1:]) is None


def test_of_several_models_the_one_is_taken_that_another_server_has() -> None:
    chosen = automatic([server(OLLAMA, ("llama3.2:3b", GGUF)), server(LM_STUDIO, (MLX,))])

    assert chosen is not None
    assert chosen.models == (f"ollama={GGUF}",)


def test_one_model_on_two_products_is_offered_first_head_to_head() -> None:
    first, *others = offers([server(OLLAMA, (GGUF,)), server(LM_STUDIO, (MLX,))], ROOMY)

    assert "head to head" in first.words
    assert GGUF in first.words
    assert MLX in first.words
    assert (first.selection.targets, first.selection.isolate) == (("ollama", "lmstudio"), False)
    assert [offer.selection.targets for offer in others] == [("ollama",), ("lmstudio",), ("sim",)]


def test_where_memory_does_not_hold_both_each_unloads_for_the_other() -> None:
    for found in (
        [server(OLLAMA, (GGUF,)), server(LM_STUDIO, (MLX,))],
        [server(OLLAMA, (GGUF,)), server(LM_STUDIO, installed=(MLX,))],
    ):
        selection = offers(found, TIGHT)[0].selection
        assert (selection.targets, selection.isolate) == (("ollama", "lmstudio"), True)
        assert set(selection.models) == {f"ollama={GGUF}", f"lmstudio={MLX}"}


@pytest.mark.parametrize("fits", [ROOMY, UNKNOWN])
def test_where_it_may_fit_nothing_that_is_not_loaded_is_offered(fits: object) -> None:
    found = [server(OLLAMA, (GGUF,)), server(LM_STUDIO, installed=(MLX,))]

    assert [offer.selection.targets for offer in offers(found, fits)] == [("ollama",), ("sim",)]  # type: ignore[arg-type]
    (pair,) = same_pairs(found, fits)  # type: ignore[arg-type]
    assert pair.waiting.name == "lmstudio"


def test_a_server_that_cannot_be_asked_to_load_is_no_half_of_a_pair_until_it_has() -> None:
    assert same_pairs([server(OLLAMA, (GGUF,)), server(MLX_LM, installed=(MLX, "x"), tells_loaded=False)], TIGHT) == []


def test_a_proxy_is_offered_and_is_no_half_of_a_pair() -> None:
    found = [server(OLLAMA, (GGUF,)), server(LITELLM, installed=(GGUF,), tells_loaded=False)]

    assert same_pairs(found, ROOMY) == []
    assert ("litellm=http://127.0.0.1:4000",) in [offer.selection.targets for offer in offers(found, ROOMY)]


def test_other_models_are_no_pair() -> None:
    assert same_pairs([server(OLLAMA, ("qwen3:14b",)), server(LM_STUDIO, (MLX,))], ROOMY) == []


def test_all_together_are_offered_where_several_have_a_model() -> None:
    found = [server(OLLAMA, ("a",)), server(LM_STUDIO, ("b",)), server(MLX_LM, ("c",))]

    assert ("ollama", "lmstudio", "mlx-lm") in [offer.selection.targets for offer in offers(found, ROOMY)]


def test_weights_are_as_large_as_the_server_says_or_the_name() -> None:
    sized = server(OLLAMA, ("m",), m=5 * GB)

    assert weight_bytes(sized, "m") == 5 * GB
    assert weight_bytes(sized, MLX) == pytest.approx(4 * GB, rel=0.15)
    assert weight_bytes(sized, "whatever") is None


def test_memory() -> None:
    assert (ROOMY(40 * GB), TIGHT(8 * GB), UNKNOWN(1)) == (True, False, None)
