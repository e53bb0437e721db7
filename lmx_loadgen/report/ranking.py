"""How the targets of a run with more than two rank, in lines, with letters for what chance does not separate."""

from collections.abc import Sequence

from lmx_loadgen.analysis.comparison.ranking import rankings
from lmx_loadgen.report.comparison_table import LETTERS as LEGEND
from lmx_loadgen.report.comparison_table import ranked_name, ranked_words
from lmx_loadgen.store.comparison import Comparison, Ranking

FIRST = ("ttft_p50", "decode_tok_s_p50", "output_tok_s", "slo_share")
__all__ = ["FIRST", "LEGEND", "lines", "rankings_of"]


def lines(rankings: Sequence[Ranking], figures: Sequence[str] | None = None) -> list[str]:
    """`TTFT at concurrency 1: lmx 180 ms a, vllm 185 ms a, ollama 240 ms b`, of all figures or of these."""
    return [
        f"{ranked_name(one)} at {one.load_point.label}: {ranked_words(one)}"
        for one in rankings
        if figures is None or one.figure in figures
    ]


def rankings_of(comparisons: Sequence[Comparison]) -> dict[str, list[Ranking]]:
    """By run, how its targets rank, of runs with more than two."""
    of_runs: dict[str, list[Comparison]] = {}
    for one in comparisons:
        if one.mode == "interleaved":
            of_runs.setdefault(one.a.run_id, []).append(one)
    return {run_id: found for run_id, mine in of_runs.items() if (found := rankings(mine))}
