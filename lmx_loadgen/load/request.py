"""One request before it is sent: its nonce, and its body, ready but for the nonce."""

import hashlib
from dataclasses import dataclass

NONCE_LENGTH = 16
PLACEHOLDER = "@@nonce-goes-her"


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
