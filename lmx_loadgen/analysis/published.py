"""Which published figures may stand beside a measured model: those of the same weights, on whatever chip."""

import re
from collections.abc import Sequence

from lmx_loadgen.analysis.model_names import same_weights, weight_bits
from lmx_loadgen.store.reference import PublishedFigure, Reference, Server

_CHIP = re.compile(r"\bM(\d+)(?:\s+(Pro|Max|Ultra))?\b")
# A tag of Ollama's that names no quantisation is its four-bit one (Q4_K_M).
_OLLAMA_TAG = re.compile(r"^[^/:@]+:[^/:@]+$")
_OLLAMA_BITS = 4.0
_CORES = re.compile(r"(\d+)-core GPU")
_GGUF = re.compile(r"gguf|(?<![a-z0-9])i?q\d(?:_|$)")
_KIND_OF = {"ollama": "gguf", "llama_cpp": "gguf", "opta_lmx": "mlx", "mlx_lm": "mlx"}
# A prompt of more tokens than this slows down decoding too.
LONG_CONTEXT = 2_000


def matching(
    reference: Reference, model: str, *, quantization: str | None, chip: str | None, server: Server | None = None
) -> list[PublishedFigure]:
    """The figures of the same model in the same number of bits: those of the same chip first, and among them those of
    the same kind of file (MLX or GGUF), as far as `server` and names tell.

    A name means a model by the file's own list of aliases, else only where it is made of the same words and numbers.
    Args:
        quantization: the server's own word for how the model's weights are quantised, where it gave one.
        chip: that of the machine they are held against, as its system names it.
    """
    models = _models(reference, model)
    bits = weight_bits(quantization) or bits_of(model)
    found = [
        figure.model_copy(update={"same_chip": _same_chip(figure.hardware, chip)})
        for figure in reference.figures
        if figure.model in models and _same_bits(figure, bits)
    ]
    kind = kind_of(server, model, quantization)
    return sorted(found, key=lambda figure: (figure.same_chip is not True, is_other_kind(figure, kind)))


def kind_of(server: Server | None, model: str, quantization: str | None) -> str | None:
    """`mlx` or `gguf`, by the server where it runs only one of them, else by the model's name; None in doubt."""
    if server in _KIND_OF:
        return _KIND_OF[server]
    words = f"{model} {quantization or ''}".lower()
    if "mlx" in words:
        return "mlx"
    return "gguf" if _GGUF.search(words) else None


def is_other_kind(figure: PublishedFigure, kind: str | None) -> bool:
    """Whether a figure is surely of the other kind of file."""
    published = next((one for one in ("mlx", "gguf") if one in (figure.format or "").lower()), None)
    return None not in (published, kind) and published != kind


def bits_of(model: str) -> float | None:
    """The bits of a weight that a model's name tells, Ollama's unspoken four included."""
    return weight_bits(model) or (_OLLAMA_BITS if _OLLAMA_TAG.match(model) else None)


def apple_chip(text: str | None) -> str | None:
    """`M3 Ultra` out of `Apple M3 Ultra` or `Mac Studio M3 Ultra 256 GB`; None for what is no Apple chip."""
    found = _CHIP.search(text or "")
    return " ".join(part for part in (f"M{found[1]}", found[2]) if part) if found else None


def _models(reference: Reference, model: str) -> Sequence[str]:
    """The entries that a name means. One that is listed is what it is listed as, and nothing else."""
    names = reference.names()
    listed = [one for one, known in names.items() if model.casefold() in {name.casefold() for name in known}]
    return listed or [one for one in names if same_weights(model, one)]


def _same_bits(figure: PublishedFigure, bits: float | None) -> bool:
    published = weight_bits(figure.format) or bits_of(figure.model)
    return published is None or published == bits


def _same_chip(hardware: str, chip: str | None) -> bool | None:
    if chip is None:
        return None
    published = apple_chip(hardware)
    if published is None:
        return None
    # One name is sold with several numbers of graphics cores, and of memory bandwidths.
    cores = {found[1] for text in (hardware, chip) if (found := _CORES.search(text)) is not None}
    return published == apple_chip(chip) and len(cores) < 2
