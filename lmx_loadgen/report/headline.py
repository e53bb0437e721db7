"""The top of the page in words: the answer, what to know before any figure, and one line of trust."""

from collections.abc import Iterator, Sequence

from lmx_loadgen.analysis.formats import at_load, duration, milliseconds, plural, rate
from lmx_loadgen.analysis.metrics import headline
from lmx_loadgen.analysis.run_view import RunView, in_order, stat
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.report.comparison_table import audit_counts
from lmx_loadgen.report.level_table import classes_of, rate_unit
from lmx_loadgen.report.ranking import FIRST, lines, rankings_of
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import MOST_NAMES, Series, failures_of, newest_each
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.result import LevelResult, TargetResult

_NICE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)


def answer(series: Sequence[Series], comparisons: Sequence[Comparison]) -> list[str]:
    """The answer in a sentence: the first verdict, how more than two targets rank, what a search found, or what one
    server does."""
    for one in comparisons[:1]:
        if ranked := rankings_of(comparisons).get(one.a.run_id):
            return [sanitize(line, 600) for line in lines(ranked, FIRST)[:1]]
        return [sanitize(one.sentences[0] if one.sentences else "Nothing was compared.", 600)]
    searched = [one.target.capacity.sentence for one in series if one.target.capacity is not None]
    if searched:
        return [sanitize(sentence, 400) for sentence in searched[:MOST_NAMES]]
    words = [said for one in newest_each(series)[:MOST_NAMES] if (said := speed(one.name, one.target)) is not None]
    if len(words) > 1:
        words.append("They did not take turns in one run, so that no verdict is given.")
    return words


def speed(shown: str, target: TargetResult) -> str | None:
    """`lmx gives its first token after 182 ms and writes 80.4 chunks/s (medians).`"""
    for level in in_order(target.levels):
        name, metrics = next(iter(classes_of(level)))
        ttft, decode = metrics.get(headline("ttft", level.load_point)), metrics.get("decode_tok_s")
        if ttft is None or ttft.p50 is None:
            continue
        of = "medians" if len(level.by_prompt_class) < 2 else f"medians of {name} prompts"
        writes = f" and writes {rate(decode.p50)} {rate_unit(level)}" if decode and decode.p50 is not None else ""
        where = f" {at_load(level.load_point)}".rstrip()
        since = " from the scheduled time" if level.load_point.IS_OPEN else ""
        first = f"{shown} gives its first token after {milliseconds(ttft.p50)} ms{since}{writes}{where} ({of})."
        return " ".join([first, *_keeps_up(target)])
    return None


def _keeps_up(target: TargetResult) -> Iterator[str]:
    """`It keeps up with 4 req/s and is overloaded at 8 req/s.`; nothing where no rate was too much."""
    opened = [
        (level.load_point, level.open_loop) for level in in_order(target.levels) if level.load_point.kind == "open"
    ]
    over = next((point for point, found in opened if found is not None and found.overloaded), None)
    if over is not None:
        kept = [point for point, _ in opened if point.order < over.order]
        keeps = f"keeps up with {kept[-1].label} and " if kept else ""
        yield f"It {keeps}is overloaded at {over.label}."


def trust(runs: Sequence[RunView], comparisons: Sequence[Comparison]) -> str:
    """One line on the newest run: `audit 18 passed, 1 not known; 288 requests, 0 failed; timing error under 0.1 ms`."""
    newest = max(runs, key=lambda run: run.result.started_at)
    return trust_in([level for target in newest.result.targets for level in target.levels], comparisons)


def trust_in(levels: Sequence[LevelResult], comparisons: Sequence[Comparison]) -> str:
    """The same of levels."""
    sent = sum(level.requests.ok + level.requests.failed for level in levels)
    parts = [audit_counts([line for one in comparisons for line in one.audit])] if comparisons else []
    parts += [f"{plural(sent, 'request')}, {sum(level.requests.failed for level in levels):,} failed"]
    return "; ".join([*parts, timing_error(levels)])


def timing_error(levels: Sequence[LevelResult]) -> str:
    """The instrument's own error in TTFT, at the worst of all levels."""
    errors = [stat(level, "ttft", "instrument_error") for level in levels]
    worst = max(known(errors), default=None)
    if worst is None:
        return "timing error not known (not calibrated)"
    limit = next((nice for nice in _NICE if 1e3 * worst <= nice), None)
    return f"timing error up to {duration(worst)}" if limit is None else f"timing error under {limit:g} ms"


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
