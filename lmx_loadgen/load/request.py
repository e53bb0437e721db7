"""One request before it is sent: its turn, its nonce, and its body, ready but for the nonce."""

import hashlib
from dataclasses import dataclass

NONCE_LENGTH = 16
PLACEHOLDER = "@@nonce-goes-her"


@dataclass(slots=True)
class Turn:
    """Which request is sent next, and when it is due, in ns on the run's clock.

    A schedule may use one turn again and again: a slot of a closed loop has a single one, so that nothing is allocated
    between two of its requests. `failures` is how many in a row went wrong in it. `is_dropped` is why it is not sent:
    as many requests as may be were in flight when it was due.
    """

    slot: int
    due_ns: int
    number: int = 0
    template: int = 0
    phase: str = "measured"
    first_wave: bool = False
    failures: int = 0
    is_dropped: bool = False


def nonce_for(key: str, phase: str, number: int, repeat: bool) -> str:
    """Sixteen hexadecimal characters, never the same twice in a run (always the same with `repeat`)."""
    text = key if repeat else f"{key}/{phase}/{number}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """A request body, ready but for its nonce: filling it in is one replacement of equal length."""

    body: bytes

    def fill(self, nonce: str) -> bytes:
        return self.body.replace(PLACEHOLDER.encode(), nonce.encode(), 1)
