"""One fact has one figure: whatever shows a comparison shows the same numbers of it."""

import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.report import comparison as shown
from lmx_loadgen.report.card_data import cards_of
from lmx_loadgen.report.head_to_head import whole_forest
from lmx_loadgen.report.level_table import ShownTarget, side_by_side
from lmx_loadgen.report.markdown import report
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.run_screen import print_run
from lmx_loadgen.report.view import series_of
from tests.helpers import make_cards
from tests.helpers.outline import Outline
from tests.report.conftest import read_run

# (concurrency, figure, what of it) → the numbers that something shows.
Fact = tuple[str, str, str]
COLUMNS = ("a", "b", "change", "interval")


@pytest.fixture(params=["clean", "partly refused"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> RunView:
    return make_cards.views(tmp_path, "first")[0] if request.param == "clean" else read_run("head-to-head")


def of_rows(rows: list[list[str]]) -> Iterator[tuple[Fact, str]]:
    """The facts of a table's rows: load, figure, verdict, both sides, change, interval."""
    at = ""
    for row in rows:
        at = row[0] or at
        verdict = row[2].replace("as above", "").split()[0]
        yield (at, row[1], "verdict"), verdict
        yield from (((at, row[1], name), value) for name, value in zip(COLUMNS, row[3:7], strict=True))


def of_page(run: RunView) -> Iterator[tuple[Fact, str]]:
    page = build_page([run])
    section = page[page.index('<section id="comparison"') :]
    table = section[section.index("<table>") : section.index("</table>")]
    rows, at = [], ""
    for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]:
        cells = [Outline(cell).text.replace("\u00a0", " ") for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
        at = cells[0] if len(cells) == 7 else at
        rows.append([at, *cells[-6:]])
    yield from of_rows(rows)


def of_markdown(run: RunView) -> Iterator[tuple[Fact, str]]:
    lines = shown.markdown(run.result.comparisons[0]).splitlines()
    tables = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    yield from of_rows([row for row in tables if len(row) == 7][2:])


def of_terminal(run: RunView) -> Iterator[tuple[Fact, str]]:
    for show in (
        lambda console: shown.print_comparison(run.result.comparisons[0], console),
        lambda console: print_run(run.result, Path("run"), console),
    ):
        out = io.StringIO()
        show(Console(file=out, width=200))
        rows = [re.split(r"\s{2,}", line.strip()) for line in out.getvalue().splitlines()]
        figures = [row if len(row) == 7 else ["", *row] for row in rows if len(row) in (6, 7)]
        yield from of_rows([row for row in figures if row[1] != "figure"])


def of_json(run: RunView) -> Iterator[tuple[Fact, str]]:
    document = json.loads(run.result.model_dump_json())["comparisons"][0]
    for level in document["levels"]:
        for found in level["metrics"].values():
            if found["ratio"] is None or found["unit"] not in ("s", "characters/s", "tok/s"):
                continue
            title = found["title"].replace("tok/s", "char/s" if found["unit"] == "characters/s" else "tok/s")
            figure = f"{title} ms" if found["unit"] == "s" else title
            for side in ("a", "b"):
                value = found[side] * (1e3 if found["unit"] == "s" else 1)
                yield (
                    (str(level["concurrency"]), figure, side),
                    f"{value:,.0f}" if found["unit"] == "s" else f"{value:,.1f}",
                )
            change = f"{100 * abs(found['ratio'] - 1):.3g}"
            yield (str(level["concurrency"]), figure, "size of change"), change


def of_words(run: RunView) -> Iterator[tuple[Fact, str]]:
    """The sentences, wherever they stand, and the forest plot."""
    (one,) = run.result.comparisons
    cards = cards_of(series_of([run]), [one])
    for text in (" ".join(one.sentences), Outline(build_page([run])).text, report(cards, [one])):
        plain = text.replace("\u00a0", " ").replace("\\", "")
        for figure, pattern in (
            ("TTFT ms", "gives its first token sooner"),
            ("Decode char/s", "writes an answer faster"),
        ):
            for at, change in re.findall(rf"{pattern} than \w+ at concurrency (\d+): \w+ against \w+ (\S+ %)", plain):
                yield (at, figure, "change"), change
    forest = whole_forest(one)
    assert forest is not None
    for row in forest.rows:
        name, _, at = row.name.rpartition(", C=")
        if row.words:
            unit = " ms" if name.startswith(("TTFT", "E2E", "Longest")) else ""
            yield (at, f"{name}{unit}", "change"), row.words


def of_levels(run: RunView) -> Iterator[tuple[Fact, str]]:
    """The figures of each level: a side's median is the level's, as long as both sides have all their blocks."""
    compared = {level.load_point.cell for level in run.result.comparisons[0].levels if level.metrics["ttft_p50"].a}
    a, b = (ShownTarget(target.name, target) for target in run.result.targets)
    for row in side_by_side(a, b).rows:
        if row[2].text == "TTFT p50 ms" and row[0].text in compared:
            yield from (((row[0].text, "TTFT ms", side), cell.text) for side, cell in zip("ab", row[3:], strict=True))


def test_no_two_places_disagree_on_a_number(run: RunView) -> None:
    places = (of_page, of_markdown, of_terminal, of_json, of_words, of_levels)
    said: defaultdict[Fact, dict[str, str]] = defaultdict(dict)
    for place in places:
        for fact, value in place(run):
            said[fact].setdefault(value, place.__name__)

    changes = {(at, figure): values for (at, figure, what), values in said.items() if what == "change"}
    for (at, figure, what), values in said.items():
        if what == "size of change":  # rounded otherwise in JSON
            written = float(next(iter(changes[at, figure])).strip("+− %"))
            assert written == pytest.approx(float(next(iter(values))), abs=0.5)
    assert {fact: values for fact, values in said.items() if len(values) > 1} == {}
    assert len(said) > 40
    assert {what for _, _, what in said} == {*COLUMNS, "verdict", "size of change"}
