"""What a model's figures are held against: the same model on LM Studio and on Ollama, measured or published.

Only servers that took turns in one run have a verdict. Figures of separate runs are points without an interval: their
difference may be chance, and is never emphasised. Published figures are other people's, on other days.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lmx_loadgen.analysis.formats import at_load
from lmx_loadgen.analysis.model_names import same_weights, weight_bits
from lmx_loadgen.analysis.published import LONG_CONTEXT, apple_chip, bits_of
from lmx_loadgen.analysis.run_view import TargetView, newest_first, prompt_tokens, same_work, stat
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.store.comparison import ComparedSide, Comparison, LevelComparison, Verdict
from lmx_loadgen.store.reference import SERVER_OF, PublishedFigure, Reference, Server
from lmx_loadgen.store.result import FEWEST_RUNS, LevelResult

How = Literal["compared", "compared apart", "one run", "separate runs", "published"]

RIVALS: tuple[Server, ...] = ("lm_studio", "ollama")
_COMPARED = {"decode_tok_s": "decode_tok_s_p50", "ttft": "ttft_p50"}
_SWAPPED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
_MAX_FAILED_SHARE = 0.01  # the audit's own limit
_PROMPT_LENGTH_TOLERANCE = 0.2


@dataclass(frozen=True, slots=True)
class BaselineFigure:
    """One figure of theirs, and by how much ours differs: `change` is ours ÷ theirs − 1, of a time as of a rate; or
    with `of_theirs`, as the comparison has it whose first side is ours, theirs ÷ ours − 1.

    Without a change `why` says why there is none; with a verdict, which is on ours, it has its reason. `unit` is that
    of a rate which is not in tokens.
    """

    theirs: float | None = None
    change: float | None = None
    ci95: tuple[float, float] | None = None
    verdict: Verdict | None = None
    why: str = ""
    unit: str = ""
    of_theirs: bool = False


@dataclass(frozen=True, slots=True)
class Baseline:
    """One server that a card's model is held against. `who` is the target or the hardware, `source` where a published
    figure stands, `about` what else is to be known."""

    server: Server
    how: How
    who: str
    rate: BaselineFigure
    ttft: BaselineFigure
    source: str = ""
    about: str = ""
    same_chip: bool | None = None

    def is_strong(self, delta: BaselineFigure) -> bool:
        """Whether chance does not explain a difference: only then may it be emphasised."""
        return self.how == "compared" and delta.verdict in ("better", "worse")


def all_baselines(
    group: Sequence[TargetView],
    series: Sequence[TargetView],
    comparisons: Sequence[Comparison],
    published: Sequence[PublishedFigure],
    reference: Reference | None = None,
) -> list[Baseline]:
    """Everything a model is held against: for LM Studio and Ollama what was measured before what was published, then
    what is published of other servers.

    Args:
        group: all runs of the model on its server, newest first.
        series: everything on the page.
    """
    found: list[Baseline] = []
    for server in RIVALS:
        if SERVER_OF.get(group[0].target.dialect) != server:
            measured = _compared(group, series, comparisons, server) or _separate_runs(
                group[0], series, server, reference
            )
            found += [measured] if measured else []
        found += published_baselines(group[0].level_at(ALONE), [one for one in published if one.server == server])
    return found + published_baselines(group[0].level_at(ALONE), [one for one in published if one.server not in RIVALS])


def best_baseline(baseline: Sequence[Baseline], server: Server) -> Baseline | None:
    """What a table with room for one shows: the measured one, else the published one that comes nearest."""
    found = [one for one in baseline if one.server == server]
    order = {"published": 1}
    return min(found, key=lambda one: (order.get(one.how, 0), one.rate.change is None), default=None)


# ---- measured in one run, in turns -------------------------------------------------------------------


def _compared(
    group: Sequence[TargetView], series: Sequence[TargetView], comparisons: Sequence[Comparison], server: Server
) -> Baseline | None:
    """The newest comparison of one of these runs with that server."""
    for one in group:
        for comparison in comparisons:
            for ours, theirs, swapped in ((comparison.b, comparison.a, False), (comparison.a, comparison.b, True)):
                if _is_of(ours, one) and _server_of(theirs, series) == server and comparison.levels:
                    return _from_comparison(comparison, one, group[0], theirs, server, swapped=swapped)
    return None


def _is_of(side: ComparedSide, one: TargetView) -> bool:
    return side.run_id == one.run.result.run_id and side.target == one.target.name


def _server_of(side: ComparedSide, series: Sequence[TargetView]) -> Server | None:
    dialect = next((one.target.dialect for one in series if _is_of(side, one)), None)
    return SERVER_OF.get(dialect or "")


def _from_comparison(
    comparison: Comparison, one: TargetView, newest: TargetView, theirs: ComparedSide, server: Server, *, swapped: bool
) -> Baseline:
    wanted = next((level.load_point for level in newest.levels), None)
    level = next((level for level in comparison.levels if level.load_point == wanted), comparison.levels[0])
    about = [at_load(level.load_point)]
    if one is not newest:
        about.append(f"in an earlier run, {one.run.label}")
    if level.token_basis == "characters":
        about.append("rates in characters, since both have no count of tokens in common")
    return Baseline(
        server,
        "compared" if comparison.mode == "interleaved" else "compared apart",
        theirs.label,
        _compared_figure(level, "decode_tok_s", swapped=swapped),
        _compared_figure(level, "ttft", swapped=swapped),
        about="; ".join(filter(None, about)),
    )


def _compared_figure(level: LevelComparison, metric: str, *, swapped: bool) -> BaselineFigure:
    found = level.metrics.get(_COMPARED[metric])
    if found is None:
        return BaselineFigure(why="it was not compared")
    verdict = _SWAPPED.get(found.verdict, found.verdict) if swapped else found.verdict
    if found.ratio is None or found.ci95 is None:
        return BaselineFigure(verdict=verdict, why=found.reason or "")
    low, high = found.ci95
    unit = "char/s" if found.unit == "characters/s" else ""
    theirs, edges = found.b if swapped else found.a, (low - 1, high - 1)
    return BaselineFigure(theirs, found.ratio - 1, edges, verdict, found.reason or "", unit, swapped)


# ---- measured apart ----------------------------------------------------------------------------------


def _separate_runs(
    ours: TargetView, series: Sequence[TargetView], server: Server, reference: Reference | None
) -> Baseline | None:
    """The newest run of the same weights on that server, on the same machine and with the same work; one that was
    measured in our own run first."""
    levels = ours.levels
    on_server = [one for one in newest_first(series) if SERVER_OF.get(one.target.dialect) == server]
    there = [one for one in on_server if one.run.machine == ours.run.machine]
    comparable = [one for one in there if same_work(ours, one) and same(ours, one, reference)]
    comparable.sort(key=lambda one: one.run is not ours.run)
    for one in comparable:
        level = one.level_at(levels[0].load_point) if levels else None
        if level is not None:
            how: How = "one run" if one.run is ours.run else "separate runs"
            rate, ttft = (_medians_compared(levels[0], level, metric) for metric in ("decode_tok_s", "ttft"))
            return Baseline(server, how, one.name, rate, ttft, about=at_load(level.load_point))
    return None


def same(one: TargetView, other: TargetView, reference: Reference | None) -> bool:
    """Whether both surely have the same weights in the same number of bits. In doubt they do not."""
    names = [series.target.model for series in (one, other)]
    bits = [_bits(series) for series in (one, other)]
    if names[0] == names[1]:
        return bool(names[0]) and bits[0] == bits[1]
    listed = any(set(names) <= set(known) for known in (reference.names() if reference else {}).values())
    return bits[0] is not None and bits[0] == bits[1] and (listed or same_weights(*names))


def _bits(one: TargetView) -> float | None:
    quantization = one.target.server.get("quantization")
    return weight_bits(quantization) or bits_of(one.target.model)


def _medians_compared(ours: LevelResult, theirs: LevelResult, metric: str) -> BaselineFigure:
    """Two medians beside each other, where nothing speaks against it."""
    value, ours_p50 = (stat(level, metric, "p50") for level in (theirs, ours))
    if value is None or ours_p50 is None:
        return BaselineFigure(value, why="there is no figure on both sides")
    why = _why_incomparable(ours, theirs, metric)
    return BaselineFigure(value, why=why) if why else BaselineFigure(value, ours_p50 / value - 1)


def _why_incomparable(ours: LevelResult, theirs: LevelResult, metric: str) -> str:
    if metric == "decode_tok_s" and not (ours.token_basis_exact and theirs.token_basis_exact):
        return "there is no exact count of tokens on both sides"
    if ours.tainted or theirs.tainted:
        return "the instrument was disturbed on one side"
    shares = [_failed(level) for level in (ours, theirs)]
    if abs(shares[0] - shares[1]) > _MAX_FAILED_SHARE:
        return "one side failed more often: a server that rejects requests looks faster on those it accepts"
    return ""


def why_unreliable(level: LevelResult) -> str:
    """Why the figures of a level may be held against nobody's; empty where they may."""
    if level.tainted:
        return "the instrument was disturbed"
    if _failed(level) > _MAX_FAILED_SHARE:
        return "some of our requests failed, and the rest may have been the faster ones"
    if level.requests.ok < FEWEST_RUNS:
        return "too few answers"
    return ""


def _failed(level: LevelResult) -> float:
    ok, failed = level.requests.ok, level.requests.failed
    return failed / (ok + failed) if ok + failed else 0.0


# ---- published ---------------------------------------------------------------------------------------


def published_baselines(
    level: LevelResult | None, published: Sequence[PublishedFigure], why: str = ""
) -> list[Baseline]:
    """What is published, held against what was measured with one request at a time; with a reason `why` not, only shown
    beside it."""
    return [_published(level, figure, why) for figure in published]


def _published(level: LevelResult | None, figure: PublishedFigure, why: str) -> Baseline:
    chip = apple_chip(figure.hardware) or figure.hardware
    return Baseline(
        figure.server,
        "published",
        chip,
        _published_figure(level, figure, "decode_tok_s", figure.toks_per_sec, why),
        _published_figure(level, figure, "ttft", figure.ttft_sec, why),
        source=figure.source,
        about="; ".join(_circumstances(figure)),
        same_chip=figure.same_chip,
    )


def _published_figure(
    level: LevelResult | None, figure: PublishedFigure, metric: str, value: float | None, why: str
) -> BaselineFigure:
    """A change only where it was the same chip and the same kind of work."""
    ours_p50 = None if level is None else stat(level, metric, "p50")
    if value is None:
        return BaselineFigure()
    if level is None:
        return BaselineFigure(value, why="nothing was measured with one request at a time")
    if ours_p50 is None:
        return BaselineFigure(value, why="ours has no figure")
    if figure.same_chip is not True:
        return BaselineFigure(value, why="" if figure.same_chip is False else "whether it is our chip is not known")
    if metric == "decode_tok_s" and not level.token_basis_exact:
        return BaselineFigure(value, why="our rate counts chunks, which may hold several tokens")
    why = why or why_unreliable(level) or _other_context(level, figure, metric)
    return BaselineFigure(value, why=why) if why else BaselineFigure(value, ours_p50 / value - 1)


def _other_context(level: LevelResult, figure: PublishedFigure, metric: str) -> str:
    """What speaks against it in the length of the prompt: TTFT is mostly that, a decode rate only where it is long."""
    published, ours = figure.context_tokens, prompt_tokens(level)
    if metric == "decode_tok_s":
        return f"its context had {published:,} tokens" if (published or 0) > LONG_CONTEXT else ""
    if published is None or ours is None:
        return "the length of its prompt or of ours is not known"
    return (
        ""
        if abs(ours / published - 1) <= _PROMPT_LENGTH_TOLERANCE
        else f"its prompt had {published:,} tokens, ours {ours:,.0f}"
    )


def _circumstances(figure: PublishedFigure) -> Iterator[str]:
    yield figure.hardware
    if figure.total_toks_per_sec is not None:
        yield f"{figure.total_toks_per_sec:,.1f} tok/s over whole requests, which is no decode rate"
    if figure.format:
        yield figure.format
    if figure.server_version:
        yield figure.server_version
    if figure.context_tokens:
        yield f"context of {figure.context_tokens:,} tokens"
    if figure.prefill_sec is not None:
        yield f"prefill {figure.prefill_sec:g} s"
    if figure.max_tokens:
        yield f"answers of up to {figure.max_tokens:,} tokens"
    yield from (words for words in (figure.workload, figure.notes) if words)
