"""Stored runs as the report looks at them: each target of each run is a series with a name and a look."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lmx_loadgen.analysis.formats import milliseconds, plural, rate
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.run_view import RunView, TargetView, newest_first
from lmx_loadgen.decode.errors import without_status
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.report.palette import SeriesStyle, series_styles
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.store.result import LevelResult, TargetResult

MOST_NAMES = 4


@dataclass(frozen=True, slots=True)
class Series(TargetView):
    """One target of one run with its place and its look."""

    index: int
    style: SeriesStyle

    @property
    def model(self) -> str:
        return sanitize(self.target.model or "unknown model", 120)


def series_of(runs: Sequence[RunView]) -> list[Series]:
    """All series of the runs, in order, each with a name that no other has (unless the runs share a label)."""
    pairs = [(run, target) for run in runs for target in run.result.targets]
    names = _unlike_names(pairs)
    styles = series_styles([target.name for _, target in pairs])
    return [
        Series(name, run, target, index, style)
        for index, (name, style, (run, target)) in enumerate(zip(names, styles, pairs, strict=True))
    ]


def newest_each(series: Sequence[Series]) -> list[Series]:
    """The newest run of each target and model, the newest first."""
    found: dict[tuple[str, str], Series] = {}
    for one in newest_first(series):
        found.setdefault((one.target.name, one.target.model), one)
    return list(found.values())


def title_of(series: Sequence[Series]) -> str:
    """`lmx and ollama: Qwen2.5-7B-Instruct-4bit`; without a model where they differ."""
    names = list(dict.fromkeys(sanitize(one.target.name, 30) for one in series))
    models = list(dict.fromkeys(sanitize(one.target.model, 60) for one in series))
    if not names:
        return "Nothing measured"
    if len(names) > MOST_NAMES:
        who = plural(len(names), "target")
    else:
        who = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{who}: {models[0]}" if len(models) == 1 else who


def load_points(series: Sequence[Series]) -> list[LoadPoint]:
    """Every load point that any series was run at, the lightest first."""
    found = {level.load_point for one in series for level in one.levels}
    return sorted(found, key=lambda point: point.order)


def _unlike_names(pairs: Sequence[tuple[RunView, TargetResult]]) -> list[str]:
    """The targets' names; those that occur more than once also say their model where that tells them apart,
    otherwise their run.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (_, target) in enumerate(pairs):
        groups[target.name].append(index)
    names = [sanitize(target.name, 40) for _, target in pairs]
    for group in (group for group in groups.values() if len(group) > 1):
        for index, extra in zip(group, _extras([pairs[index] for index in group]), strict=True):
            names[index] = f"{names[index]} · {extra}"
    return names


def _extras(pairs: Sequence[tuple[RunView, TargetResult]]) -> list[str]:
    models = [sanitize(target.model.rsplit("/", 1)[-1], 40) for _, target in pairs]
    labels = [sanitize(run.label, 40) for run, _ in pairs]
    return models if len(set(models)) == len(models) else labels


# ---- metrics ----------------------------------------------------------------------------------------


def as_shown(metric: str) -> Callable[[float | None], str]:
    """How a metric's figures are written: times in ms, and rates."""
    return milliseconds if METRICS[metric].unit == "s" else rate


def heading(metric: str) -> tuple[str, str]:
    """A metric's name and the unit it is shown in: `("TTFT", "ms")`."""
    found = METRICS[metric]
    return found.title.removesuffix(found.unit).strip(), "ms" if found.unit == "s" else found.unit


def better_words(metric: str) -> str:
    """`Lower is better.`"""
    return f"{METRICS[metric].better.capitalize()} is better."


# ---- notes and failures -----------------------------------------------------------------------------


def level_notes(level: LevelResult) -> list[str]:
    """What a reader must know before believing a level's figures, one sentence each."""
    notes = [sanitize(note, 300) for note in level.notes]
    notes += [f"tainted: {sanitize(reason, 300)}" for reason in level.tainted]
    return notes if level.complete else [*notes, "the level was not finished"]


def target_notes(target: TargetResult, named: Callable[[Sequence[LoadPoint]], str]) -> list[str]:
    """All notes on a target, each sentence once. One that is not about every level begins with those that it is about,
    as `named` has them: `C=4, 8: …`.
    """
    where: dict[str, list[LoadPoint]] = {}
    for level in target.levels:
        for note in level_notes(level):
            where.setdefault(note, []).append(level.load_point)
    everywhere = len(target.levels)
    return [sanitize(note, 300) for note in target.notes] + [
        note if len(found) == everywhere else f"{named(found)}: {note}" for note, found in where.items()
    ]


class Failures(NamedTuple):
    """Failed requests of one kind: its name, the server's words where there are any, and how many they are."""

    name: str
    reason: str
    number: int


def failures_of(target: TargetResult) -> list[Failures]:
    """A target's failures by outcome, status and reason, over all its levels, most frequent first."""
    sums = Counter[tuple[str, int | None, str | None]]()
    for level in target.levels:
        for error in level.errors:
            sums[error.outcome, error.status, error.reason] += error.count
    return [
        Failures(outcome_name(outcome, status), reason_beside_name(outcome, status, reason), number)
        for (outcome, status, reason), number in sums.most_common()
    ]


OUTCOME_NAMES = {
    "incomplete": "ended without finish_reason",
    "empty": "no text at all",
    "http_error": "HTTP error",
    "stream_error": "error inside the stream",
    "connect_error": "no connection",
    "connect_timeout": "connect timeout",
    "first_token_timeout": "first-token timeout",
    "gap_timeout": "silence mid-answer",
    "request_timeout": "request timeout",
    "reset": "connection lost",
    "truncated": "truncated body",
    "protocol_error": "not HTTP or SSE",
    "cancelled": "cancelled by us",
}


def reason_beside_name(outcome: str, status: int | None, reason: str | None) -> str:
    """The reason of a failure to stand beside its `outcome_name`, which tells the status already."""
    return without_status(status, reason or "") if outcome == "http_error" else reason or ""


def outcome_name(outcome: str, status: int | None = None) -> str:
    """An outcome in words: `HTTP error 503`."""
    name = OUTCOME_NAMES.get(outcome) or sanitize(outcome, 40)
    return f"{name} {status}" if outcome == "http_error" and status is not None else name
