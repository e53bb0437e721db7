"""Request bodies that are ready but for their nonce."""

from dataclasses import dataclass

NONCE_LENGTH = 16
PLACEHOLDER = "@@nonce-goes-her"


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """A request body, ready but for its nonce: filling it in is one replacement of equal length."""

    body: bytes

    def fill(self, nonce: str) -> bytes:
        return self.body.replace(PLACEHOLDER.encode(), nonce.encode(), 1)
