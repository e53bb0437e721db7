"""What to expect of a model before it is measured: what others measured on this chip, or what its memory can deliver.

Generating a token reads all weights that take part in it once. A rate over memory bandwidth ÷ bytes of active weights
cannot be, and a good server comes to two thirds of it or more.
"""

import re
from collections.abc import Mapping, Sequence

from lmx_loadgen.analysis.model_names import read_name, weight_bits
from lmx_loadgen.analysis.published import LONG_CONTEXT, apple_chip, bits_of, is_other_kind, kind_of, matching
from lmx_loadgen.store.reference import SERVER_NAMES, PublishedFigure, Reference, Server
from lmx_loadgen.store.result import Hypothesis

# Families of which every size is dense: all weights take part in every token. Of others a name does not tell.
_DENSE = frozenset(
    {
        *("qwen2", "qwen2.5", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "codellama", "mistral"),
        *("gemma2", "gemma3", "phi3", "phi4", "smollm", "smollm2", "smollm3", "tinyllama"),
    }
)
# Of this one some sizes are mixtures of experts, also by names that do not say so (Ollama's qwen3:30b).
_DENSE_SIZES = {"qwen3": frozenset({"0.6b", "1.7b", "4b", "8b", "14b", "32b"})}
_ANOTHER = ("next", "vl", "coder", "moe", "omni", "large")
_ACTIVE = re.compile(r"(?<![a-z0-9])a(\d+(?:\.\d+)?)b(?![a-z0-9])")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([bm])")
_UNIT = {"b": 1e9, "m": 1e6}
# Beside each weight's own bits, quantised formats keep scales: half a bit a weight at the least. Formats that keep
# less (IQ2 to IQ4, MXFP4) are taken without any, since the bound must not be too low.
_SCALES = 0.5
_LEAN = re.compile(r"(?<![a-z0-9])(?:iq\d|(?:mx|nv)?fp\d)")
_SHOWN = 3
_NONE = Hypothesis(kind="none", sentence="No published figure for this model and chip, and no estimate: "
                   "the memory bandwidth or the size of the weights is unknown.")  # fmt: skip


def hypothesis(
    reference: Reference,
    bandwidths: Mapping[str, float],
    *,
    model: str,
    quantization: str | None,
    server: Server | None,
    chip: str | None,
) -> Hypothesis:
    """What is expected of a model on a machine with this chip, of whatever server; the server's own figures first."""
    figures = matching(reference, model, quantization=quantization, chip=chip, server=server)
    here = [one for one in figures if one.same_chip and (one.toks_per_sec or one.ttft_sec)]
    if here:
        kind = kind_of(server, model, quantization)
        here.sort(key=lambda one: (is_other_kind(one, kind), one.server != server))
        return _published(here, figures)
    bound = _bandwidth_limit(bandwidths.get(apple_chip(chip) or ""), model, quantization)
    return (bound or _NONE).model_copy(update={"figures": figures})


def _published(here: Sequence[PublishedFigure], figures: Sequence[PublishedFigure]) -> Hypothesis:
    texts = "; ".join(_figure_text(one) for one in here[:_SHOWN])
    short = [one for one in here if (one.context_tokens or 0) <= LONG_CONTEXT]
    first = next((one for one in short if one.toks_per_sec), None)
    more = f"; and {len(here) - _SHOWN} more" if len(here) > _SHOWN else ""
    return Hypothesis(
        kind="published",
        toks_per_sec=None if first is None else first.toks_per_sec,
        ttft_sec=next((one.ttft_sec for one in short if one.ttft_sec), None),
        of=None if first is None else " ".join(filter(None, (SERVER_NAMES[first.server], first.format))),
        sentence=f"published on this chip: {texts}{more}",
        figures=list(figures),
    )


def _figure_text(figure: PublishedFigure) -> str:
    values = [f"{figure.toks_per_sec:g} tok/s"] if figure.toks_per_sec else []
    values += [f"TTFT {figure.ttft_sec:g} s"] if figure.ttft_sec else []
    detail = [figure.format, f"{figure.context_tokens:,} tokens of prompt" if figure.context_tokens else None]
    beside = ", ".join(part for part in detail if part)
    return f"{SERVER_NAMES[figure.server]} {' and '.join(values)}{f' ({beside})' if beside else ''}, {figure.source}"


def _bandwidth_limit(bandwidth: float | None, model: str, quantization: str | None) -> Hypothesis | None:
    weights, bits = active_weights(model), weight_bits(quantization) or bits_of(model)
    if bandwidth is None or weights is None or bits is None:
        return None
    lean = _LEAN.search(f"{model} {quantization or ''}".lower()) is not None
    each = bits + (_SCALES if bits < 16 and not lean else 0.0)
    gigabytes = weights * each / 8 / 1e9
    most = bandwidth / gigabytes
    return Hypothesis(
        kind="bandwidth",
        toks_per_sec=most,
        sentence=(
            f"at most about {_three_digits(most)} tok/s for one user: {bandwidth:g} GB/s of memory bandwidth over "
            f"{gigabytes:.3g} GB of weights a token ({weights / 1e9:.3g} B at {each:g} bits)"
        ),
    )


def _three_digits(value: float) -> str:
    """Three figures, never in powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def active_weights(model: str) -> float | None:
    """How many weights take part in a token, as far as a name tells: `A3B` in it, or the size of a dense family."""
    last = model.rsplit("/", 1)[-1].lower()
    if (active := _ACTIVE.search(last)) is not None:
        return float(active[1]) * 1e9
    named = read_name(model)
    size = _SIZE.fullmatch(named.size or "")
    if size is None or any(word in last for word in _ANOTHER):
        return None
    if named.family not in _DENSE and named.size not in _DENSE_SIZES.get(named.family or "", ()):
        return None
    return float(size[1]) * _UNIT[size[2]]
