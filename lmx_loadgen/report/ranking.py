"""More than two targets in one figure: a line each, the best first, with letters for what chance does not separate."""

from collections.abc import Sequence

from lmx_loadgen.analysis.comparison.ranking import rankings
from lmx_loadgen.analysis.formats import milliseconds, percent, rate
from lmx_loadgen.report.markup import Markup, column, grouped_table, h, row
from lmx_loadgen.report.sanitize import markdown_text, sanitize
from lmx_loadgen.store.comparison import Comparison, RankedTarget, Ranking

FIRST = ("ttft_p50", "decode_tok_s_p50", "output_tok_s", "slo_share")
LEGEND = "Targets with a letter in common: chance may explain their difference, over all pairs and figures together."


def lines(rankings: Sequence[Ranking], figures: Sequence[str] | None = None) -> list[str]:
    """`TTFT at concurrency 1: lmx 180 ms a, vllm 185 ms a, ollama 240 ms b`, of all figures or of these."""
    return [
        f"{_title(one)} at {one.load_point.label}: {', '.join(_words(target, one) for target in one.targets)}"
        for one in rankings
        if figures is None or one.figure in figures
    ]


def _title(one: Ranking) -> str:
    return one.title.replace("tok/s", "char/s") if one.unit == "characters/s" else one.title


def _words(target: RankedTarget, one: Ranking) -> str:
    return f"{sanitize(target.target, 40)} {value(target.value, one)} {target.letters}"


def value(shown: float, one: Ranking) -> str:
    """A target's value with its unit."""
    if one.unit == "s":
        return f"{milliseconds(shown)} ms"
    return percent(shown) if one.unit == "1" else f"{rate(shown)} {one.unit.replace('characters', 'char')}"


def rankings_of(comparisons: Sequence[Comparison]) -> dict[str, list[Ranking]]:
    """By run, how its targets rank, of runs with more than two."""
    of_runs: dict[str, list[Comparison]] = {}
    for one in comparisons:
        if one.mode == "interleaved":
            of_runs.setdefault(one.a.run_id, []).append(one)
    return {run_id: found for run_id, mine in of_runs.items() if (found := rankings(mine))}


def markdown(rankings: Sequence[Ranking]) -> list[str]:
    """The same as a list."""
    return [*(f"- {markdown_text(line, 600)}" for line in lines(rankings)), "", LEGEND, ""] if rankings else []


def table(rankings: Sequence[Ranking]) -> Markup | None:
    """The same as the page's table."""
    if not rankings:
        return None
    head = [column("Load"), column("Figure"), column("Best first", "letters: what chance does not separate")]
    rows = [
        row(
            h("td", None, one.load_point.cell),
            h("td", {"class": "fig"}, _title(one)),
            h("td", None, ", ".join(_words(target, one) for target in one.targets)),
        )
        for one in rankings
    ]
    return grouped_table(LEGEND, head, [h("tbody", None, rows)])
