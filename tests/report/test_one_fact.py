"""One fact has one figure: whatever shows a comparison shows the same numbers of it."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.report import comparison as shown
from lmx_loadgen.report import csv as written
from lmx_loadgen.report.card_data import cards_of
from lmx_loadgen.report.head_to_head import whole_forest
from lmx_loadgen.report.junit import junit
from lmx_loadgen.report.level_table import ShownTarget, level_table, side_by_side
from lmx_loadgen.report.markdown import report
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.ranking import lines
from lmx_loadgen.report.run_screen import print_run
from lmx_loadgen.report.view import series_of
from lmx_loadgen.store.comparison import Comparison, MetricComparison
from tests.helpers import make_cards
from tests.helpers.outline import Outline
from tests.report.conftest import read_run

COLUMNS = ("a", "b", "change", "interval")
VERDICTS = {"undecided": "inconclusive"}


class Fact(NamedTuple):
    """What a number is of: who against whom, at which load, in which figure; a side's value, the change, its interval
    or the verdict."""

    b: str
    a: str
    at: str
    figure: str
    what: str


Facts = Iterator[tuple[Fact, str]]
Numbers = Iterator[tuple[Fact, float]]


@pytest.fixture(params=["clean", "partly refused", "three targets"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> RunView:
    if request.param == "partly refused":
        return read_run("head-to-head")
    return make_cards.views(tmp_path, "first" if request.param == "clean" else "second")[0]


# What people read: the same figure is the same text everywhere.


def of_tables(tables: Iterable[Sequence[Sequence[str]]]) -> Facts:
    """The facts of comparison tables, each with its heading: load, figure, verdict, both sides, change, interval."""
    for heading, *rows in tables:
        b, a, at = heading[2].removesuffix(" is"), heading[3], ""
        for row in rows:
            at = row[0] or at
            yield Fact(b, a, at, row[1], "verdict"), row[2].replace("as above", "").split()[0]
            for name, value in zip(COLUMNS, row[3:7], strict=True):
                yield Fact(b, a, at, row[1], name), value


def of_page(run: RunView) -> Facts:
    tables = []
    for table in re.findall(r"<table>(.*?)</table>", build_page([run]), re.DOTALL):
        rows: list[list[str]] = []
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL):
            cells = [Outline(cell).text.replace("\u00a0", " ") for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
            rows.append(cells if len(cells) == 7 else ["", *cells])
        if rows[0][:2] == ["C", "figure"] and rows[0][-1] == "95 % interval":
            tables.append(rows)
    assert len(tables) == len(run.result.comparisons)
    yield from of_tables(tables)


def of_markdown(run: RunView) -> Facts:
    for one in run.result.comparisons:
        lines = shown.markdown(one).splitlines()
        table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
        heading, _, *rows = [row for row in table if len(row) == 7]
        yield from of_tables([[heading, *rows]])


def of_terminal(run: RunView) -> Facts:
    out = io.StringIO()
    console = Console(file=out, width=200)
    shown.print_comparisons(run.result.comparisons, run.result.rankings, console, all_notes=True)
    if len(run.result.comparisons) == 1:
        print_run(run.result, Path("run"), console)
    tables: list[list[list[str]]] = []
    for line in out.getvalue().splitlines():
        row = re.split(r"\s{2,}", line.strip())
        if row[:2] == ["C", "figure"]:
            tables.append([row])
        elif len(row) in (6, 7) and tables:
            tables[-1].append(row if len(row) == 7 else ["", *row])
    yield from of_tables(tables)


def of_words(run: RunView) -> Facts:
    """The sentences, wherever they stand, and the forest plots."""
    comparisons = run.result.comparisons
    sentences = " ".join(words for one in comparisons for words in one.sentences)
    cards = cards_of(series_of([run]), comparisons)
    for text in (sentences, Outline(build_page([run])).text, report(cards, comparisons)):
        plain = text.replace("\u00a0", " ").replace("\\", "")
        for figure, words in (
            ("TTFT ms", "gives its first token sooner"),
            ("Decode char/s", "writes an answer faster"),
            ("Decode tok/s", "writes an answer faster"),
        ):
            for at, b, a, change in re.findall(
                rf"{words} than \w+ at concurrency (\d+): (\w+) against (\w+) (\S+ %)", plain
            ):
                if figure in figures_of(comparisons):
                    yield Fact(b, a, at, figure, "change"), change
    for one in comparisons:
        forest = whole_forest(one)
        assert forest is not None
        for row in forest.rows:
            name, _, at = row.name.rpartition(", C=")
            unit = " ms" if name.startswith(("TTFT", "E2E", "Longest")) else ""
            if row.words:
                yield Fact(one.b.label, one.a.label, at, f"{name}{unit}", "change"), row.words


def figures_of(comparisons: Sequence[Comparison]) -> set[str]:
    return {figure_of(found) for one in comparisons for level in one.levels for found in level.metrics.values()}


# What programs read: numbers of which the texts are roundings.


def figure_of(found: MetricComparison) -> str:
    title = found.title.replace("tok/s", "char/s" if found.unit == "characters/s" else "tok/s")
    return f"{title} ms" if found.unit == "s" else title


def of_json(run: RunView) -> Numbers:
    for document in json.loads(run.result.model_dump_json())["comparisons"]:
        for level in document["levels"]:
            for stored in level["metrics"].values():
                found = MetricComparison.model_validate(stored)
                if found.a is None or found.b is None or found.change is None or found.scale == "points":
                    continue
                of = (document["b"]["label"], document["a"]["label"], str(level["concurrency"]), figure_of(found))
                factor = 1e3 if found.unit == "s" else 1.0
                yield Fact(*of, "a"), factor * found.a
                yield Fact(*of, "b"), factor * found.b
                yield Fact(*of, "change"), 100 * found.change


def of_junit(run: RunView) -> Numbers:
    """The values of each case that has any."""
    comparisons = run.result.comparisons
    names = {found.title: figure_of(found) for one in comparisons for at in one.levels for found in at.metrics.values()}
    for case in ET.fromstring(junit(comparisons)).iter("testcase"):
        b, _, a = case.attrib["classname"].partition(" against ")
        title, _, at = case.attrib["name"].partition(" at concurrency ")
        said = (case.findtext("system-out") or "") + "".join(one.attrib["message"] for one in case)
        if (values := re.search(r": (\S+) (\S+) → (\S+) \2,", said)) is not None:
            factor = 1e3 if values[2] == "s" else 1.0
            yield Fact(b, a, at, names[title], "a"), factor * float(values[1])
            yield Fact(b, a, at, names[title], "b"), factor * float(values[3])


def of_csv(run: RunView) -> Numbers:
    """A side's median TTFT is the level's, as long as both sides have all their blocks."""
    for row in csv.DictReader(io.StringIO(written.table(series_of([run])))):
        if row["metric"] == "ttft" and row["prompts"] == "all" and row["p50"]:
            for fact in ttft_facts(run, row["target"], row["concurrency"]):
                yield fact, 1e3 * float(row["p50"])


def of_levels(run: RunView) -> Facts:
    """The same figure in the table of levels."""
    targets = [ShownTarget(target.name, target) for target in run.result.targets]
    if len(targets) > 2:
        table = level_table(targets)
        place = next(n for n, column in enumerate(table.columns) if (column.title, column.statistic) == ("TTFT", "p50"))
        for row in table.rows:
            if row[2].text in ("all", ""):
                yield from ((fact, row[place].text) for fact in ttft_facts(run, row[0].text, row[1].text))
        return
    for row in side_by_side(*targets).rows:
        if row[2].text == "TTFT p50 ms":
            for target, cell in zip(targets, row[3:], strict=True):
                yield from ((fact, cell.text) for fact in ttft_facts(run, target.name, row[0].text))


def of_ranking(run: RunView) -> Facts:
    """What targets are ranked by: the values that they are compared by."""
    for line in lines(run.result.rankings):
        name, at, values = re.fullmatch(r"(.+) at concurrency (\d+): (.+)", line).groups()  # type: ignore[union-attr]
        for target, value, unit in re.findall(r"(\w+) ([\d.,]+) (ms|tok/s|char/s)", values):
            for one in run.result.comparisons:
                for what, side in (("a", one.a), ("b", one.b)):
                    figure = f"{name} ms" if unit == "ms" else name
                    if side.label == target:
                        yield Fact(one.b.label, one.a.label, at, figure, what), value


def ttft_facts(run: RunView, target: str, at: str) -> Iterator[Fact]:
    for one in run.result.comparisons:
        compared = {level.load_point.cell for level in one.levels if level.metrics["ttft_p50"].a}
        if at in compared and target in (one.a.label, one.b.label):
            yield Fact(one.b.label, one.a.label, at, "TTFT ms", "a" if target == one.a.label else "b")


def is_rounding(text: str, number: float) -> bool:
    """Whether a shown text is the number, rounded to its digits; JUnit's numbers have four."""
    digits = text.replace("−", "-").replace(",", "").strip("+ %")
    decimals = len(digits.partition(".")[2])
    return abs(float(digits) - number) <= 0.5 * 10**-decimals + 5e-4 * abs(number) + 1e-9


def test_no_two_places_disagree_on_a_number(run: RunView) -> None:
    said: defaultdict[Fact, dict[str, str]] = defaultdict(dict)
    for place in (of_page, of_markdown, of_terminal, of_words, of_levels, of_ranking):
        facts = list(place(run))
        assert facts or place is of_ranking, place.__name__
        for fact, value in facts:
            said[fact].setdefault(value, place.__name__)
    pairs = {(fact.a, fact.b) for fact in said}

    assert {fact: values for fact, values in said.items() if len(values) > 1} == {}
    assert len(said) > 40 * len(pairs)
    assert pairs == set(combinations([target.name for target in run.result.targets], 2))
    assert {fact.what for fact in said} == {*COLUMNS, "verdict"}


@pytest.mark.parametrize("place", [of_json, of_junit, of_csv])
def test_what_people_read_is_what_programs_read(run: RunView, place: object) -> None:
    read = dict(of_markdown(run))
    assert callable(place)
    numbers = [(fact, number) for fact, number in place(run) if fact in read]

    assert len({fact.b for fact, _ in numbers}) == len(run.result.targets) - 1
    assert [(fact, read[fact], number) for fact, number in numbers if not is_rounding(read[fact], number)] == []
