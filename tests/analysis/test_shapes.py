"""Prompts that a server cut: named where a count shows it, and nowhere else."""

import pytest

from lmx_loadgen.analysis.shapes import cut_note
from tests.helpers.made_lines import made, steady, usage


@pytest.mark.parametrize(
    ("sent", "read", "cached", "usage_exact", "is_noted"),
    [
        (8000, 4096, None, True, True),
        (8000, 7000, None, True, False),  # another vocabulary
        (100, 60, None, True, False),
        (8000, 4096, 3000, True, False),  # some servers leave out what came from a cache
        (8000, 2000, None, False, False),  # characters by four
        (8000, None, None, True, False),
    ],
)
def test_a_prompt_that_was_cut_is_noted_where_a_tokenizer_and_the_server_count(
    sent: int, read: int | None, cached: int | None, usage_exact: bool, is_noted: bool
) -> None:
    told = usage(read, 6) if read is not None else None
    if cached and told:
        told["prompt_tokens_details"] = {"cached_tokens": cached}
    answers = [made(steady(), usage=told, tokenizer_tokens={"prompt": sent, "output": 6}) for _ in range(3)]

    assert (cut_note(answers, usage_exact=usage_exact) is not None) == is_noted
