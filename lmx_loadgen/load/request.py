"""One request before it is sent: its turn, its nonce, and its body, ready but for the nonce."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from lmx_loadgen.profile.conversation import answer_place

NONCE_LENGTH = 16
PLACEHOLDER = "@@nonce-goes-her"


@dataclass(slots=True)
class Turn:
    """Which request is sent next, and when it is due, in ns on the run's clock.

    A schedule may use one turn again and again: a slot of a closed loop has a single one, so that nothing is allocated
    between two of its requests. `failures` is how many in a row went wrong in it. `is_dropped` is why it is not sent:
    as many requests as may be were in flight when it was due. In a chat, `chat` is its number and `answers` what the
    server said in it so far, where that is sent again.
    """

    slot: int
    due_ns: int
    number: int = 0
    template: int = 0
    phase: str = "measured"
    first_wave: bool = False
    failures: int = 0
    is_dropped: bool = False
    chat: int | None = None
    answers: list[bytes] = field(default_factory=list)


def nonce_for(key: str, phase: str, number: int, repeat: bool, digits: bool = False) -> str:
    """Sixteen hexadecimal characters, never the same twice in a run (always the same with `repeat`).

    With `digits` none of them is a letter: vocabularies cut digits alike whatever they are, so that prompts that differ
    in their nonce alone have as many tokens."""
    text = key if repeat else f"{key}/{phase}/{number}"
    if digits:
        drawn = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())
        return f"{drawn % 10**NONCE_LENGTH:0{NONCE_LENGTH}d}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """A request body, ready but for its nonce: filling it in is one replacement of equal length."""

    body: bytes

    def fill(self, nonce: str, answers: Sequence[bytes] = ()) -> bytes:
        """The body under a nonce; `answers` are what the server said to the turns before, as JSON has them."""
        body = self.body.replace(PLACEHOLDER.encode(), nonce.encode(), 1)
        for turn, answer in enumerate(answers, 1):
            body = body.replace(answer_place(turn).encode(), answer, 1)
        return body


def escaped(text: str) -> bytes:
    """A text as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "replace")
