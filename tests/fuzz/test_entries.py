"""The fuzzer's entries without the fuzzer: real inputs, and a few thousand mutations of them, seeded."""

import random

import pytest

from tests.fuzz.entries import ENTRIES
from tests.fuzz.seeds import seeds

MUTATIONS = 150


@pytest.mark.parametrize("entry", sorted(ENTRIES))
def test_real_inputs_and_mutations_of_them_are_read_or_refused(entry: str) -> None:
    random.seed(entry)
    whole = list(seeds(entry))
    for data in whole:
        ENTRIES[entry](data)
    for _ in range(MUTATIONS):
        ENTRIES[entry](_mutated(random.choice(whole)))


def _mutated(data: bytes) -> bytes:
    """Cut short, bytes changed, pieces doubled or dropped."""
    made = bytearray(data[: random.randrange(len(data) + 1)] if random.random() < 0.3 else data)
    for _ in range(random.randrange(1, 8)):
        place = random.randrange(len(made) + 1)
        length = random.randrange(1, 20)
        kind = random.randrange(4)
        if kind == 0:
            made[place : place + length] = random.randbytes(length)
        elif kind == 1:
            made[place : place + length] = b""
        elif kind == 2:
            made[place:place] = made[place : place + length] * 3
        else:
            made[place:place] = random.choice(
                [b"\xff", b"\r", b"\n\n", b"{", b"[" * 50, b'"', b"-1e999", b"\x00", b"null"]
            )
    return bytes(made)
