"""Shapes as they are shown: llama-bench's names, marks for what is not exact, and a map where there is a field."""

from typing import Any

import pytest

from lmx_loadgen.report.shapes import shape_levels, shape_table
from lmx_loadgen.report.table import markdown_lines
from lmx_loadgen.report.workload_charts import heat_map
from lmx_loadgen.store.result import LevelResult
from tests.helpers.levels import a_level

ANSWERS = a_level({"kind": "closed", "concurrency": 1}).requests.ok


def level(prompt: int, slots: int, **shape: Any) -> LevelResult:
    """A stored level of this shape."""
    made = a_level(
        {"kind": "closed", "concurrency": slots, "shape": {"prompt": prompt, "answer": 8}},
        shape={
            "prompt": prompt,
            "answer": 8,
            "counted_by": "endpoint",
            "prompt_tokens": (prompt, prompt),
            "output_tokens": (7, 8),
            "exact": True,
            "status": "passed",
            "sentence": "",
            "prompt_tok_s": 1234.5,
            "decode_tok_s": 50.0,
            **shape,
        },
    )
    made.metrics["ttft"].p50 = prompt / 1000
    return made


def table_lines(*levels: LevelResult) -> str:
    table = shape_table(shape_levels("box", levels))
    assert table is not None
    return "\n".join(markdown_lines(table))


def test_rows_have_llama_bench_s_names_and_the_lengths_as_counted() -> None:
    lines = table_lines(level(512, 4))

    assert f"| box | pp512 | 4 | 1,234.5 | 512 | 7–8 | {ANSWERS} |" in lines
    assert f"| box | tg8 @ d512 | 4 | 50.0 | 512 | 7–8 | {ANSWERS} |" in lines


@pytest.mark.parametrize(
    ("shape", "mark", "words"),
    [
        ({"status": "failed", "exact": False, "prompt_tokens": (300, 300)}, "pp512†", "the server cut the prompt"),
        ({"exact": False, "prompt_tokens": (511, 513)}, "pp512≈", "not exactly of this length"),
        ({"exact": False, "status": "unknown", "prompt_tokens": None, "prompt_tok_s": None}, "pp512≈", "gives none"),
    ],
)
def test_what_is_not_exact_is_marked_and_explained(shape: dict[str, Any], mark: str, words: str) -> None:
    lines = table_lines(level(512, 1, **shape))

    assert mark in lines
    assert words in lines
    assert "†" not in table_lines(level(512, 1))


def test_levels_without_a_shape_make_no_table() -> None:
    plain = a_level({"kind": "closed", "concurrency": 1})

    assert shape_table(shape_levels("box", [plain])) is None


def test_a_map_has_a_field_for_each_length_and_load() -> None:
    levels = shape_levels("box", [level(512, 1), level(512, 4), level(128, 1)])
    figure = heat_map(levels, "ttft")

    assert figure is not None
    (drawn,) = figure.data
    assert list(drawn.y) == ["128", "512"]
    assert [list(row) for row in drawn.z] == [[128.0, None], [512.0, 512.0]]
    assert heat_map(levels[:2], "ttft") is None


def test_a_decode_rate_in_chunks_says_so() -> None:
    table = shape_table(shape_levels("box", [level(512, 1).model_copy(update={"token_basis_exact": False})]))

    assert table is not None
    assert "| tg8 @ d512 | 1 | 50.0 chunks/s |" in "\n".join(markdown_lines(table))
