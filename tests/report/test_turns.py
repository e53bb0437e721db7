"""Chats by turn as they are shown: a row for each turn, a dash for what nobody tells, a curve from two turns on."""

from dataclasses import replace
from typing import Any

from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.palette import SeriesStyle
from lmx_loadgen.report.table import markdown_lines
from lmx_loadgen.report.turns import chat_levels, turn_table
from lmx_loadgen.report.view import Series
from lmx_loadgen.report.workload_charts import turn_curves
from lmx_loadgen.store.result import LevelResult
from tests.helpers.levels import a_level
from tests.report.conftest import read_run


def level(users: int, *turns: dict[str, Any]) -> LevelResult:
    """A stored level of users."""
    return a_level({"kind": "sessions", "users": users}, turns=list(turns))


def turn(number: int, **told: Any) -> dict[str, Any]:
    figures = {"context_tokens": 100.0 * number, "cached_share": 0.5, "ttft_sec": 0.1 * number, "decode_tok_s": 40.0}
    return {"turn": number, "answers": 3, "failed": 0, **figures, **told}


def series(*levels: LevelResult) -> list[Series]:
    run = read_run("head-to-head")
    target = run.result.targets[0].model_copy(update={"levels": list(levels)})
    return [Series("box", run, target, 0, SeriesStyle(0, "solid", "circle"))]


def test_a_row_says_what_a_turn_costs() -> None:
    table = turn_table(
        chat_levels("box", [level(4, turn(1), turn(10, failed=1)), level(1, turn(1, cached_share=None))])
    )
    assert table is not None
    lines = "\n".join(markdown_lines(table))

    assert "| box | 4 users | 1 | 100 | 50 % | 100 | 40.0 | 3 |" in lines
    assert "| box | 4 users | 10 | 1,000 | 50 % | 1,000 | 40.0 | 3 (1 failed) |" in lines
    assert "| box | 1 user | 1 | 100 | — | 100 | 40.0 | 3 |" in lines
    assert lines.index("1 user ") < lines.index("4 users")


def test_levels_without_chats_make_no_table() -> None:
    assert turn_table(chat_levels("box", [a_level({"kind": "closed", "concurrency": 1})])) is None


def test_a_curve_is_drawn_at_the_fewest_users_where_two_turns_are_known() -> None:
    levels = (level(4, turn(1), turn(2)), level(1, turn(1), turn(2, ttft_sec=0.25), turn(3, ttft_sec=None)))
    figure = turn_curves(series(*levels), "ttft_sec", "TTFT (ms)")

    assert figure is not None
    (drawn,) = figure.data
    assert list(drawn.x) == [100.0, 200.0]
    assert list(drawn.y) == [100.0, 250.0]
    assert turn_curves(series(level(1, turn(1), turn(2, decode_tok_s=None))), "decode_tok_s", "") is None


def test_where_a_server_does_not_count_its_prompts_the_curve_goes_by_the_turn() -> None:
    figure = turn_curves(series(level(1, turn(1), turn(2, context_tokens=None))), "ttft_sec", "TTFT (ms)")

    assert figure is not None
    assert list(figure.data[0].x) == [1, 2]
    assert figure.layout.xaxis.title.text == "Turn"


def test_rates_in_chunks_say_so() -> None:
    of_chunks = level(1, turn(1), turn(2)).model_copy(update={"token_basis_exact": False})
    table = turn_table(chat_levels("box", [of_chunks]))
    figure = turn_curves(series(of_chunks), "decode_tok_s", "Decode")

    assert table is not None
    assert "40.0 chunks/s" in "\n".join(markdown_lines(table))
    assert figure is not None
    assert figure.layout.yaxis.title.text == "Decode (chunks/s)"


def test_the_page_has_a_section_of_chats_and_of_shapes_and_no_curve_over_several_lengths() -> None:
    of_chats = series(level(1, turn(1), turn(2)))[0]
    shapes = [
        a_level(
            {"kind": "closed", "concurrency": slots, "shape": {"prompt": prompt, "answer": 8}},
            shape={
                "prompt": prompt,
                "answer": 8,
                "counted_by": "usage",
                "exact": True,
                "status": "passed",
                "sentence": "",
            },
        )
        for prompt in (64, 128)
        for slots in (1, 2)
    ]
    both = of_chats.target.model_copy(update={"levels": [*of_chats.target.levels, *shapes]})
    run = of_chats.run
    page = build_page([replace(run, result=run.result.model_copy(update={"targets": [both], "comparisons": []}))])

    assert 'id="turns"' in page
    assert "Time to first token by turn" in page
    assert 'id="shapes"' in page
    assert "Prompt length and concurrency" in page
    assert 'id="scaling"' not in page
