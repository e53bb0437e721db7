"""What a model's name tells: servers name the same weights each in its own way."""

import re
from dataclasses import dataclass

_SIZE = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")
_BITS = (
    re.compile(r"(?<![a-z0-9])i?q(\d)(?=[_k\W]|$)"),  # q4_K_M, IQ3_XS: llama.cpp and Ollama
    re.compile(r"(?<![a-z0-9])(?:mx|nv)?fp(\d{1,2})(?![0-9])"),
    re.compile(r"(?<![a-z0-9])(?:int|w|bf|f)(\d{1,2})(?![0-9])"),
    re.compile(r"(?<![a-z0-9.])(\d{1,2}(?:\.\d)?)[- ]?bits?(?![a-z])"),  # mlx-community's 4bit, 6.5bit
)
_FAMILY = re.compile(r"(?:meta-)?([a-z]+(?:-?\d+(?:\.\d+)*(?![\d.]*[bm]))?)")
# What servers call the model they were started with.
_NAMELESS = ("default", "default_model", "model", "")
# Words that make it another model even in the same family and size.
_VARIANTS = ("coder", "code", "math", "vl", "vision", "base", "thinking", "reasoning", "abliterated")


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What could be read out of a name; None is what it does not tell. `bits` are those of a weight."""

    family: str | None
    size: str | None
    variants: frozenset[str]
    bits: float | None


def read_name(name: str) -> NamedModel:
    """`mlx-community/Qwen2.5-7B-Instruct-4bit` and `qwen2.5:7b-instruct-q4_K_M` read alike."""
    last = name.rsplit("/", 1)[-1].lower().removesuffix(".gguf")
    if last in _NAMELESS:
        return NamedModel(None, None, frozenset(), None)
    size = _SIZE.search(last)
    family = _FAMILY.match(last)
    words = set(re.split(r"[^a-z]+", last))
    return NamedModel(
        family=family[1].replace("-", "") if family else None,
        size="".join(part or "" for part in size.groups()) if size else None,
        variants=frozenset(word for word in _VARIANTS if word in words),
        bits=weight_bits(last),
    )


def weight_bits(text: str | None) -> float | None:
    """The bits of a weight that a name or a server's own word for its quantisation tells: 4 for Q4_K_M or 4bit."""
    for pattern in _BITS:
        found = pattern.search((text or "").lower())
        if found and 1 <= float(found[1]) <= 32:
            return float(found[1])
    return None


# What says nothing of which weights they are: their format, how they were put into bits, that they follow instructions.
_SAID_ELSEWHERE = re.compile(
    r"(?<![a-z0-9])(?:mlx|gguf|ggml|instruct|it|chat|latest|meta|ud|dwq|awq|gptq|(?:mxfp|nvfp|bf|fp|f)(?:4|8|16|32)"
    r"|i?q\d(?:_[a-z0-9]+)*|int[48]|mxfp[48]|nvfp4|bf16|fp16|\d{1,2}(?:\.\d)?-?bits?)(?![a-z0-9.])"
)


def same_weights(one: str, other: str) -> bool:
    """Whether two names surely mean the same model, whatever its format: they are made of the same words and numbers.

    A size must be among them. In doubt it is False: `qwen2.5:72b` is `mlx-community/Qwen2.5-72B-Instruct-4bit`, but no
    `Qwen2.5-Coder-72B`, and a date or a `distill` makes another model.
    """
    words = _words(one)
    return words == _words(other) and any(_SIZE.fullmatch(word) for word in words)


def _words(name: str) -> list[str]:
    last = _SAID_ELSEWHERE.sub(" ", name.rsplit("/", 1)[-1].lower().removesuffix(".gguf"))
    return sorted(re.findall(r"\d+(?:\.\d+)?(?:x\d+)?[bm](?![a-z0-9])|[a-z]+|\d+(?:\.\d+)*", last))
