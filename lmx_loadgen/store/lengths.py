"""How the prompts of a shape were made, as the header of a run keeps it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lmx_loadgen.profile.shape import Shape

# Who counted: an endpoint of the server, its usage, a tokenizer, or nobody.
CountedBy = Literal["endpoint", "usage", "tokenizer", "nobody"]
# By as many tokens, and by this share, a count may be off before a prompt is taken to have been cut.
_CUT_TOKENS, _CUT_SHARE = 16, 0.03


class FittedLength(BaseModel):
    """The prompt of one shape for one target: a filler of so many `words` and so long a `tail`.

    `sent` is how many tokens that is by what `counted_by` says (`source` is the endpoint's path, or the file), and
    `read` how many the server's usage said it read, None where it does not tell.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    target: str
    shape: Shape
    words: int
    tail: int
    counted_by: CountedBy
    source: str | None = None
    sent: int | None = None
    read: int | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the server read fewer tokens than it was sent."""
        return is_cut(self.sent, self.read)


def is_cut(sent: int | None, read: int | None) -> bool:
    """Whether a prompt of so many tokens, of which so many were read, was cut and not only counted otherwise."""
    return sent is not None and read is not None and sent - read > max(_CUT_TOKENS, _CUT_SHARE * sent)


def fitted_lengths(header: Any) -> list[FittedLength]:
    """Those in a run's header; what this version cannot read is left out."""
    stored = header.get("lengths")
    found = []
    for one in stored if isinstance(stored, list) else []:
        try:
            found.append(FittedLength.model_validate(one))
        except ValidationError:
            continue
    return found
