"""Dialect cards: what a server's answers are like, as a few requests showed, and the folder that they are kept in."""

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict

from lmx_loadgen.errors import StorageError
from lmx_loadgen.store.result import write_whole
from lmx_loadgen.system import folders

SCHEMA = 1
_MAX_FILE = 256 * 1024

FieldStatus = Literal["honored", "ignored", "refused", "unknown"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class StreamFacts(_Model):
    """How an answer is streamed. `role_chunk`: whether a chunk with the role alone comes `early`, in a read of its own
    before any text, or `with_text`. `reasoning` is where thoughts come, None where none were seen. `tells_limit`:
    whether the finish reason says that the limit ended an answer."""

    role_chunk: Literal["none", "early", "with_text"] | None = None
    role_in_every_chunk: bool | None = None
    tokens_per_chunk: float | None = None
    done: bool | None = None
    tells_limit: bool | None = None
    reasoning: str | None = None


class UsageFacts(_Model):
    """When a stream tells usage, and whether it is a count of tokens: `exact` compares it with an answer that was not
    streamed, and with the limit; `words` are both in figures."""

    told: Literal["never", "asked", "always"] | None = None
    exact: bool | None = None
    words: str | None = None


class FieldFact(_Model):
    """What a server does with a field of the request, or with the system role; `words` are the server's own."""

    status: FieldStatus
    words: str | None = None


class CacheFacts(_Model):
    """What a repeated prompt showed of a prefix cache; times are TTFTs in seconds."""

    found: bool | None = None
    cold_sec: float | None = None
    repeat_sec: float | None = None
    cached_tokens: int | None = None
    prompt_tokens: int | None = None


class LongPromptFacts(_Model):
    """What becomes of a prompt that is longer than `context` tokens; `words` are the server's, or why it is not
    known."""

    status: Literal["refused", "cut", "served", "unknown"]
    context: int | None = None
    words: str | None = None


class AtOnceFacts(_Model):
    """How many of `sent` requests were being answered at the same time; it may be more where that is all of them."""

    sent: int
    served: int | None = None
    refused: int = 0
    words: str | None = None


class ErrorFacts(_Model):
    """How a refusal looks: `shape` is where its words are, like `error.message`. `served`: it was no refusal."""

    status: int | None
    shape: str
    words: str | None = None


class ToolCallFacts(_Model):
    """How a tool call comes: in `pieces`, `whole`, or left in the `text`; `none` where the model made none."""

    status: Literal["pieces", "whole", "text", "none", "refused", "unknown"]
    words: str | None = None


class DialectCard(_Model):
    """What a server's answers are like. `requests` is how many found it out, in `seconds`."""

    schema_version: int = SCHEMA
    tool_version: str
    probed_at: str
    url: str
    dialect: str
    product: str | None
    version: str | None
    model: str
    requests: int
    seconds: float
    stream: StreamFacts
    usage: UsageFacts
    fields: dict[str, FieldFact]
    cache: CacheFacts
    long_prompts: LongPromptFacts
    at_once: AtOnceFacts
    errors: dict[str, ErrorFacts]
    tool_calls: ToolCallFacts


def store_card(card: DialectCard) -> Path:
    """Keep a card, in place of the one of the same server and model. Raises StorageError."""
    path = _path(card.url, card.model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path.parent}: {error.strerror or error}") from None
    write_whole(path, card.model_dump_json(indent=1).encode() + b"\n")
    return path


def find_card(url: str, product: str | None, version: str | None, model: str) -> DialectCard | None:
    """The card of this very server: None where there is none, where it is of another product or version, or where the
    server does not tell its version."""
    if version is None:
        return None
    try:
        with _path(url, model).open("rb") as file:
            card = DialectCard.model_validate(pydantic_core.from_json(file.read(_MAX_FILE)))
    except (OSError, ValueError):  # damaged, or of another schema: the next probe writes it anew
        return None
    same = (card.url, card.product, card.version, card.model) == (url, product, version, model)
    return card if same and card.schema_version == SCHEMA else None


def card_in(stored: Any) -> DialectCard | None:
    """The card in a stored run; None where there is none that this version can read."""
    try:
        return None if stored is None else DialectCard.model_validate(stored)
    except ValueError:
        return None


def _path(url: str, model: str) -> Path:
    """One file for each model of an address."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", url.partition("://")[2]).strip("-")[:40]
    short = hashlib.sha256(f"{url}\n{model}".encode()).hexdigest()[:8]
    return folders.calibration_folder() / "cards" / f"{slug}-{short}.json"
