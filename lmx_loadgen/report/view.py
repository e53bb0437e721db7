"""Stored runs as the report looks at them: each target of each run is a series with a name and a look."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lmx_loadgen.analysis.asked import Asked, prompts_hash_of
from lmx_loadgen.analysis.formats import milliseconds, rate
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.decode.errors import without_status
from lmx_loadgen.profile.load_point import LoadPoint, load_point
from lmx_loadgen.report.palette import SeriesStyle, series_styles
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.system.clock import EARLIEST, moment

# One level of a target, as `result.json` has it.
Level = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunView:
    """One stored run: `result.json` as read, and what was measured, None where its event log is not there.

    `label` tells this run from others on the same page, for instance its date.
    """

    result: dict[str, Any]
    measured: MeasuredRun | None
    label: str

    @property
    def prompts_hash(self) -> str | None:
        """Tells its prompts from those of others, None where that is not known."""
        return None if self.measured is None else prompts_hash_of(self.measured.header)

    @property
    def machine(self) -> str:
        """The chip and memory of its machine in a few words, as far as the host facts tell."""
        host = self.result.get("host") or {}
        chip, memory = host.get("chip"), host.get("memory_gb")
        parts = [sanitize(chip, 60) if chip else "", f"{memory:g} GB" if isinstance(memory, int | float) else ""]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Series:
    """One target of one run."""

    index: int
    name: str
    style: SeriesStyle
    run: RunView
    target: dict[str, Any]

    @property
    def model(self) -> str:
        return sanitize(self.target.get("model") or "unknown model", 120)

    def levels(self) -> list[Level]:
        """The levels, the lightest load first."""
        return in_order(self.target["levels"])

    def level_at(self, point: LoadPoint) -> Level | None:
        """The level at this load point, if it was run."""
        return next((level for level in self.levels() if point_of(level) == point), None)

    def requests_of(self, level: Level) -> Sequence[Record]:
        """The requests of a level, warm-ups included."""
        measured = self.run.measured
        return [] if measured is None else measured.requests(str(self.target["name"]), point_of(level))


def series_of(runs: Sequence[RunView]) -> list[Series]:
    """All series of the runs, in order, each with a name that no other has (unless the runs share a label)."""
    pairs = [(run, target) for run in runs for target in run.result["targets"]]
    names = _unlike_names(pairs)
    styles = series_styles([str(target["name"]) for _, target in pairs])
    return [
        Series(index, name, style, run, target)
        for index, (name, style, (run, target)) in enumerate(zip(names, styles, pairs, strict=True))
    ]


def load_points(series: Sequence[Series]) -> list[LoadPoint]:
    """Every load point that any series was run at, the lightest first."""
    found = {point_of(level) for one in series for level in one.levels()}
    return sorted(found, key=lambda point: point.order)


def _unlike_names(pairs: Sequence[tuple[RunView, dict[str, Any]]]) -> list[str]:
    """The targets' names; those that occur more than once also say their model where that tells them apart,
    otherwise their run.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (_, target) in enumerate(pairs):
        groups[str(target["name"])].append(index)
    names = [sanitize(target["name"], 40) for _, target in pairs]
    for group in (group for group in groups.values() if len(group) > 1):
        for index, extra in zip(group, _extras([pairs[index] for index in group]), strict=True):
            names[index] = f"{names[index]} · {extra}"
    return names


def _extras(pairs: Sequence[tuple[RunView, dict[str, Any]]]) -> list[str]:
    models = [sanitize(str(target.get("model") or "").rsplit("/", 1)[-1], 40) for _, target in pairs]
    labels = [sanitize(run.label, 40) for run, _ in pairs]
    return models if len(set(models)) == len(models) else labels


def newest_first(series: Sequence[Series]) -> list[Series]:
    """The series by when their runs began."""
    return sorted(series, key=lambda one: moment(one.run.result.get("started_at")) or EARLIEST, reverse=True)


def same_work(one: Series, other: Series) -> bool:
    """Whether both runs asked for the same: endpoint, prompts and request settings."""
    return not any(_asked(one).differences(_asked(other)))


def _asked(one: Series) -> Asked:
    return Asked(one.run.result.get("profile") or {}, one.run.prompts_hash)


# ---- one level of one target ------------------------------------------------------------------------


def point_of(level: Level) -> LoadPoint:
    """Which load a level is."""
    return load_point(level["load_point"])


def in_order(levels: Sequence[Level]) -> list[Level]:
    """Levels from the lightest load to the heaviest."""
    return sorted(levels, key=lambda level: point_of(level).order)


def stat(level: dict[str, Any], metric: str, key: str) -> float | None:
    """One statistic of a metric at a level, `None` where it is undefined or was not computed."""
    value = (level["metrics"].get(metric) or {}).get(key)
    return None if value is None else float(value)


def mean_interval(level: dict[str, Any], metric: str) -> tuple[float, float] | None:
    """The 95 % interval of a metric's mean, `None` where it has none."""
    edges = (level["metrics"].get(metric) or {}).get("ci95")
    return (float(edges[0]), float(edges[1])) if edges else None


def prompt_tokens(level: dict[str, Any]) -> float | None:
    """Mean tokens of a prompt, by the count that the level's rates rest on."""
    counts = (level.get("tokens") or {}).get(str(level.get("token_basis"))) or {}
    answers = stat(level, "ttft", "n")
    return counts["prompt"] / answers if counts.get("prompt") is not None and answers else None


def system_rate(level: dict[str, Any]) -> float | None:
    """Output tok/s of the whole system at a level; undefined where not one token arrived."""
    return stat(level, "output_tok_s", "mean") if stat(level, "output_tok_s", "n") else None


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


def is_weak(level: dict[str, Any], metric: str, key: str) -> bool:
    """Whether a statistic is a percentile with too few samples beyond it to be trusted."""
    found = level["metrics"].get(metric) or {}
    return found.get(key) is not None and key in (found.get("unsupported") or [])


def level_notes(level: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a level's figures, one sentence each."""
    notes = [sanitize(note, 300) for note in level.get("notes") or []]
    notes += [f"tainted: {sanitize(reason, 300)}" for reason in level.get("tainted") or []]
    if not level.get("complete", True):
        notes.append("the level was not finished")
    return notes


def target_notes(target: dict[str, Any], named: Callable[[Sequence[LoadPoint]], str]) -> list[str]:
    """All notes on a target, each sentence once. One that is not about every level begins with those that it is about,
    as `named` has them: `C=4, 8: …`.
    """
    where: dict[str, list[LoadPoint]] = {}
    for level in target["levels"]:
        for note in level_notes(level):
            where.setdefault(note, []).append(point_of(level))
    everywhere = len(target["levels"])
    return [sanitize(note, 300) for note in target.get("notes") or []] + [
        note if len(found) == everywhere else f"{named(found)}: {note}" for note, found in where.items()
    ]


class Failures(NamedTuple):
    """Failed requests of one kind: its name, the server's words where there are any, and how many they are."""

    name: str
    reason: str
    number: int


def failures_of(target: dict[str, Any]) -> list[Failures]:
    """A target's failures by outcome, status and reason, over all its levels, most frequent first."""
    sums = Counter[tuple[str, int | None, str | None]]()
    for level in target["levels"]:
        for error in level.get("errors") or []:
            sums[error["outcome"], error.get("status"), error.get("reason")] += int(error["count"])
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
