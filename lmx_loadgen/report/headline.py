"""The top of the page in words: the answer, what to know before any figure, and one line of trust."""

from collections.abc import Sequence

from lmx_loadgen.analysis.formats import plural
from lmx_loadgen.analysis.run_view import RunView, newest_first
from lmx_loadgen.report.ranking import FIRST, lines, rankings_of
from lmx_loadgen.report.run_notes import speed_words, trust_words
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import MOST_NAMES, Series, failures_of
from lmx_loadgen.store.comparison import Comparison


def answer(series: Sequence[Series], comparisons: Sequence[Comparison]) -> list[str]:
    """The answer in a sentence: the first verdict, how more than two targets rank, or what one server does."""
    for one in comparisons[:1]:
        if ranked := rankings_of(comparisons).get(one.a.run_id):
            return [sanitize(line, 600) for line in lines(ranked, FIRST)[:1]]
        return [sanitize(one.sentences[0] if one.sentences else "Nothing was compared.", 600)]
    newest: dict[tuple[str, str], Series] = {}
    for found in newest_first(series):
        newest.setdefault((found.target.name, found.target.model), found)
    measured = [one for one in newest.values() if any(level.requests.ok for level in one.levels)]
    words = [speed_words(one.target) for one in measured[:MOST_NAMES]]
    if len(words) > 1:
        words.append("They did not take turns in one run, so that no verdict is given.")
    return words


def trust(runs: Sequence[RunView], comparisons: Sequence[Comparison]) -> str:
    """One line on the newest run: requests, the audit of these comparisons, and the instrument's error."""
    newest = max(runs, key=lambda run: run.result.started_at)
    return trust_words(newest.result.model_copy(update={"comparisons": list(comparisons)}))


def banners(runs: Sequence[RunView], series: Sequence[Series]) -> list[tuple[str, str]]:
    """What the reader must know before looking at any figure, each with its kind."""
    found = []
    for run in runs:
        if not run.result.complete:
            which = "The run" if len(runs) == 1 else f"The run {sanitize(run.label, 60)}"
            why = sanitize(run.result.reason or "no reason was stored", 200)
            found.append(("warn", f"{which} is incomplete ({why}). Its figures rest on what was measured until then."))
    for one in series:
        failed = sum(level.requests.failed for level in one.levels)
        if sum(level.requests.ok for level in one.levels) == 0:
            first = next(iter(failures_of(one.target)), None)
            said = ": ".join(part for part in (first.name, first.reason) if part) if first else ""
            tried = f"all {plural(failed, 'request')} failed ({sanitize(said, 200)})" if failed else "none was sent"
            found.append(("bad", f"No request to {one.name} completed: {tried}. It has no latency and no rate."))
    return found
