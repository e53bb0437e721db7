"""One declaration of a table, and what its renderers make of it."""

import io

import pytest
from rich.console import Console

from lmx_loadgen.report.comparison_table import audit_table
from lmx_loadgen.report.level_table import ShownTarget, level_table
from lmx_loadgen.report.table import Cell, Column, Table, markdown_lines, one_group, rich_table
from lmx_loadgen.store.result import RunResult, read_result
from tests.helpers.paths import RUNS


def stored(name: str) -> RunResult:
    return read_result(RUNS / name)


def in_terminal(table: Table, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(rich_table(table, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def of_levels(name: str) -> Table:
    return level_table([ShownTarget(target.name, target) for target in stored(name).targets])


def test_columns_without_a_value_are_left_out_only_where_they_may_be() -> None:
    columns = [Column("a"), Column("b", optional=True), Column("c", optional=True)]
    table = one_group(columns, [["—", "—", ""], ["1", "", "x"]])

    assert [column.title for column in table.shown().columns] == ["a", "c"]


def test_markdown_escapes_what_a_server_wrote_and_a_group_says_its_name_in_each_row() -> None:
    columns = [Column("who", grouped=True), Column("n", unit="ms", number=True)]
    table = Table(columns, [[["a|b", "1"], ["a|b", Cell("2", mark="*")]]])

    assert markdown_lines(table) == ["| who | n (ms) |", "| --- | --: |", "| a\\|b | 1 |", "| a\\|b | 2\\* |"]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["head-to-head", "failed", "hostile"])
def test_the_table_of_levels_fits_each_terminal(name: str, width: int) -> None:
    lines = in_terminal(of_levels(name), width)

    assert max(map(len, lines)) <= width
    assert "p50, ms" in lines[2]
    assert ("/ failed" in lines[2]) == (width >= 80)


def test_rates_of_two_kinds_of_tokens_each_say_their_unit() -> None:
    targets = stored("head-to-head").targets
    units = {"chunks/s" if not level.token_basis_exact else "tok/s" for one in targets for level in one.levels}
    assert len(units) == 2
    table = of_levels("head-to-head")

    decode = next(place for place, column in enumerate(table.columns) if column.title == "decode")
    assert {row[decode].text.rpartition(" ")[2] for row in table.rows} <= units | {"—"}
    assert table.columns[decode].unit == ""


def test_prompts_of_two_lengths_have_two_rows_and_no_figure_of_both() -> None:
    target = stored("head-to-head").targets[0]
    level = target.levels[0]
    (name,) = level.by_prompt_class
    slower = level.by_prompt_class[name].model_copy(deep=True)
    slower.metrics["ttft"].p50 = 9.0
    level.by_prompt_class |= {"long": slower}

    table = level_table([ShownTarget("lmx", target.model_copy(update={"levels": [level]}))]).shown()

    assert [(row[2].text, row[3].text) for row in table.rows] == [("short", "182"), ("long", "9,000")]


def test_a_weak_percentile_and_a_disturbed_figure_are_marked_and_explained() -> None:
    target = stored("head-to-head").targets[0]
    target.levels[0].by_prompt_class["short"].metrics["ttft"].tainted = ["p50"]
    table = level_table([ShownTarget("lmx", target)])

    assert table.rows[0][3].mark == "‡"
    assert table.rows[0][4].mark == "*"
    assert [note[0] for note in table.footnotes] == ["*", "‡"]


def test_the_audit_has_a_row_a_check() -> None:
    (one,) = stored("head-to-head").comparisons

    assert len(audit_table(one).rows) == len(one.audit)
