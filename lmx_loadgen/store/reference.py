"""`reference/published.yaml`: figures that others have published of their servers, each with its source."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from lmx_loadgen.errors import ProfileError, first_fault
from lmx_loadgen.profile.strict_yaml import read_yaml

NAME = "published.yaml"

T = TypeVar("T")

Server = Literal["lm_studio", "ollama", "opta_lmx", "llama_cpp", "mlx_lm", "vllm", "other"]
ShortText = Annotated[str, Field(min_length=1, max_length=400)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# The dialects of targets by the names that published figures go by.
SERVER_OF: Mapping[str, Server] = {
    "lmstudio": "lm_studio",
    "ollama": "ollama",
    "lmx": "opta_lmx",
    "llamacpp": "llama_cpp",
    "mlx-lm": "mlx_lm",
    "vllm": "vllm",
}
# And by the names that people know them by.
SERVER_NAMES: Mapping[Server, str] = {
    "lm_studio": "LM Studio",
    "ollama": "Ollama",
    "opta_lmx": "Opta-LMX",
    "llama_cpp": "llama.cpp",
    "mlx_lm": "mlx_lm.server",
    "vllm": "vLLM",
    "other": "other",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Entry(_Model):
    """One published measurement, as it stands in the file under its model and server.

    `toks_per_sec` is a decode rate; a rate over whole requests is `total_toks_per_sec`, and is never set beside one.
    """

    toks_per_sec: Positive | None = None
    total_toks_per_sec: Positive | None = None
    ttft_sec: Positive | None = None
    prefill_sec: Positive | None = None
    source: ShortText
    hardware: ShortText
    format: ShortText | None = None
    server_version: ShortText | None = None
    context_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    workload: ShortText | None = None
    notes: Annotated[str, Field(max_length=1000)] | None = None


class PublishedFigure(_Entry):
    """One published measurement with the model and the server it is of. `same_chip` is whether it was made on the chip
    of the machine it is held against, None where that is unknown."""

    model: str
    server: Server
    same_chip: bool | None = None


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


Entries = Annotated[list[_Entry], BeforeValidator(_as_list), Field(min_length=1)]


class _Published(_Model):
    """All that is known of one model. `aliases` are the names under which servers have the same weights."""

    aliases: list[ShortText] = []
    lm_studio: Entries | None = None
    ollama: Entries | None = None
    opta_lmx: Entries | None = None
    llama_cpp: Entries | None = None
    mlx_lm: Entries | None = None
    vllm: Entries | None = None
    other: Entries | None = None


_FILE = TypeAdapter(dict[Annotated[str, Field(min_length=1, max_length=200)], _Published])


class Reference:
    """Published figures by model. What a name means to it is `names()`: model id → all names it goes by."""

    def __init__(self, figures: Sequence[PublishedFigure], names: Mapping[str, Sequence[str]]) -> None:
        self.figures = list(figures)
        self._names = {model: tuple(known) for model, known in names.items()}

    def names(self) -> Mapping[str, tuple[str, ...]]:
        return self._names


def read_reference(path: Path) -> Reference:
    """The figures in a file. Raises ProfileError that names file and key."""
    models = _validated(_FILE, path)
    figures = [
        PublishedFigure(**entry.model_dump(), model=model, server=server)
        for model, published in models.items()
        for server, entries in _by_server(published)
        for entry in entries
    ]
    names = {model: (model, *published.aliases) for model, published in models.items()}
    _check_names(names, path)
    return Reference(figures, names)


def _check_names(names: Mapping[str, Sequence[str]], path: Path) -> None:
    """A name that two models claim would give one the other's figures."""
    owner: dict[str, str] = {}
    for model, known in names.items():
        for name in known:
            other = owner.setdefault(name.casefold(), model)
            if other != model:
                raise ProfileError(
                    f"{path}: {name!r} is a name of both {other!r} and {model!r}: it can be that of one only"
                )


def _by_server(published: _Published) -> list[tuple[Server, list[_Entry]]]:
    return [(server, entries) for server in SERVER_NAMES if (entries := getattr(published, server)) is not None]


CHIPS = "chips.yaml"
_BANDWIDTHS = TypeAdapter(dict[str, Positive | None])


def read_bandwidths(path: Path) -> dict[str, float]:
    """Memory bandwidth in GB/s by chip, of those whose is known. Raises ProfileError."""
    return {chip: known for chip, known in _validated(_BANDWIDTHS, path).items() if known is not None}


def _validated(model: TypeAdapter[T], path: Path) -> T:
    try:
        return model.validate_python(read_yaml(path, "reference file"))
    except ValidationError as problem:
        raise ProfileError(f"{path}: {first_fault(problem, 'the file', lower=True)}") from None
