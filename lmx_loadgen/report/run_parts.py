"""What the page says of runs, their targets and the instrument: facts, failures, notes, calibration, definitions."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmx_loadgen.analysis.formats import UNDEFINED, count, full_time
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.profile.load_point import labels
from lmx_loadgen.report.headline import timing_error
from lmx_loadgen.report.nodes import nodes_line
from lmx_loadgen.report.parts import Box, Boxes, Facts, Folded, Listed, Words, facts, flattened
from lmx_loadgen.report.power import power_words
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Cell, Column, Row, Table, one_group
from lmx_loadgen.report.view import Series, failures_of, target_notes
from lmx_loadgen.store.calibration import Calibration, SpreadResult

_MOST_OPEN = 4
_ERRORS = (
    ("ttft", "TTFT"), ("send", "sending"), ("receive", "receiving"), ("chunk", "each chunk"), ("gap", "chunk gap"),
    ("tpot", "TPOT"),
)  # fmt: skip


def errors_table(series: Sequence[Series]) -> Table:
    """Each kind of failure with the server's own words."""
    columns = [Column("Target"), Column("Kind"), Column("In the server's words", optional=True)]
    rows: list[Row] = [
        [one.name, found.name, sanitize(found.reason or UNDEFINED, 400), Cell(count(found.number), tone="bad")]
        for one in series
        for found in failures_of(one.target)
    ]
    return one_group([*columns, Column("Requests", number=True)], rows)


def what_was_run(runs: Sequence[RunView], series: Sequence[Series]) -> Boxes:
    """A card for each target with its notes, and one for each run; many runs are folded."""
    return Boxes([*map(_target_box, series), *(_run_box(run, len(runs) <= _MOST_OPEN) for run in runs)])


def _target_box(one: Series) -> Box:
    target, reasons = one.target, Counter[str]()
    for level in one.levels:
        reasons.update(level.finish_reasons)
    server = " ".join(sanitize(part, 60) for name in ("product", "version") if (part := target.server.get(name)))
    answered = "" if target.models_answered == [target.model] else ", ".join(target.models_answered)
    power = power_words(target)
    found = facts(
        ("Model", one.model),
        ("Answered by", answered),
        ("Server", server),
        ("Weights", target.server.get("quantization")),
        ("Prefix cache", target.cache.sentence if target.cache else ""),
        ("Address", target.base_url),
        ("Answers ended by", ", ".join(f"{reason} ({count(number)})" for reason, number in reasons.items())),
        ("Power and heat", power[0] if power else ""),
    )
    return Box(one.name, [found, Listed(target_notes(target, labels))], look=one.index)


def _run_box(run: RunView, is_open: bool) -> Box:
    result = run.result
    how = {name: value for name, value in result.instrument.items() if name != "calibration"}
    circumstances = {**result.host, "versions": result.versions, "instrument": how}
    circumstances |= {node.name: node.model_dump(exclude={"name"}) for node in result.nodes}
    found = facts(
        ("Run", result.run_id),
        ("Started", full_time(result.started_at)),
        ("Ended", full_time(result.ended_at) if result.ended_at else ""),
        ("Complete", "yes" if result.complete else f"no ({result.reason or 'unknown'})"),
        ("Profile", result.profile.get("name")),
        ("Machine", run.machine),
        ("Cluster", nodes_line(result) or ""),
        ("Tool", f"{result.tool.name} {result.tool.version}"),
    )
    parts: list[Any] = [found, Listed([sanitize(note, 300) for note in result.notes])]
    for title, values in (
        ("Profile, as resolved", result.profile),
        ("Machine, versions and instrument", circumstances),
    ):
        if pairs := [*flattened(values)]:
            parts.append(Folded(title, [Facts(pairs)]))
    return Box(sanitize(run.label, 80), parts, is_open=is_open)


# ---- the instrument ---------------------------------------------------------------------------------


def accuracy(runs: Sequence[RunView], series: Sequence[Series]) -> list[Any]:
    """One line on how wrong the instrument is, with the calibrations behind it."""
    found = {(c.host, c.created_at, c.stamps): c for run in runs if (c := _calibration_of(run)) is not None}
    clusters = [Words(f"{run.label}: {line}.") for run in runs if (line := nodes_line(run.result)) is not None]
    if not found:
        return [Words("Timing error not known: the run was not calibrated."), *clusters]
    line = timing_error([level for one in series for level in one.levels])
    sentence = f"{line[0].upper()}{line[1:]}, at the 99th percentile over requests."
    shown = "Timing error not known: no answer to apply it to." if "not known" in line else sentence
    return [Folded(shown, [*map(_calibration_table, found.values())]), *clusters]


def _calibration_of(run: RunView) -> Calibration | None:
    stored = run.result.instrument.get("calibration")
    try:
        return None if stored is None else Calibration.model_validate(stored)
    except ValueError:  # of a version that this one does not know
        return None


def _calibration_table(one: Calibration) -> Table:
    columns = [Column("C", number=True), *(Column(title, "p50 / p99", "ms", number=True) for _, title in _ERRORS)]
    rows = [[count(level.concurrency), *(_spread(getattr(level, name)) for name, _ in _ERRORS)] for level in one.levels]
    busy = f" The machine was busy ({one.busy_reason}): the errors may be overstated." if one.busy else ""
    caption = (
        f"{'Quick' if one.quick else 'Full'} calibration of {one.created_at}: {one.loop}, {one.stamps} stamps. What "
        f"the tool saw minus what the simulator did.{busy}"
    )
    return one_group(columns, rows, sanitize(caption, 400))


def _spread(found: SpreadResult) -> str:
    return f"{found.p50 * 1e3:.3f} / {found.p99 * 1e3:.3f}"


def glossary() -> Folded:
    """The definition of each metric, from the one place where it is declared."""
    columns = [Column("Metric"), Column("Unit"), Column("Definition"), Column("Formula")]
    rows = [[metric.title, metric.unit, metric.definition, metric.formula] for metric in METRICS.values()]
    return Folded(f"{len(rows)} metrics and how they are computed", [one_group(columns, rows)])
