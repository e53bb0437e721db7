"""A run as it was measured, computed once: what its result, its comparisons and its charts are all made of.

Reading a request out of its line and computing a level take most of the time that an analysis takes. Whoever needs a
record or a level gets it here, and gets the one that is there already.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lmx_loadgen.analysis.conditions import conditions
from lmx_loadgen.analysis.level import MeasuredLevel, level_result
from lmx_loadgen.analysis.read_records import record, stamped_by_loop
from lmx_loadgen.analysis.record_store import Records, RecordStore, grouped, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.log_reader import LogContents, LogLine, LogReader
from lmx_loadgen.store.result import LevelResult
from lmx_loadgen.store.segment_key import LOAD, SegmentKey, SegmentPhase, segment_key

# One level: a target by its name, and the load point.
LevelKey = tuple[str, LoadPoint]


class MeasuredRun:
    """A run's event log with its records and levels. Nothing is computed before it is asked for, nor twice.

    `records` are those of the log where they are known already, or are to be other ones.
    """

    def __init__(self, log: LogContents, records: Sequence[Record] | None = None) -> None:
        self.log = log
        self._given = records
        self._levels: dict[LevelKey, LevelResult] = {}

    @property
    def header(self) -> LogLine:
        return self.log.header

    @property
    def run_id(self) -> str:
        return str(self.header["run_id"])

    @property
    def profile(self) -> Mapping[str, Any]:
        profile: Mapping[str, Any] = self.header["profile"]
        return profile

    @cached_property
    def targets(self) -> dict[str, LogLine]:
        """What the header says of each target, by its name."""
        return {str(target["name"]): target for target in self.header["targets"]}

    @property
    def has_text(self) -> bool:
        """Whether what models wrote was kept."""
        return not self.header.get("no_text", False)

    @cached_property
    def plan(self) -> list[SegmentKey]:
        """The segments that were planned, in the order they were to run."""
        return [segment_key(segment) for segment in self.header["plan"]]

    def load_points(self, target: str | None = None) -> list[LoadPoint]:
        """The levels that were planned, of one target or of all, in the order they were to run; then those that a
        search added."""
        planned = [key.load_point for key in self.plan if target in (None, key.target)]
        found = [(name, point) for name, point, phase in self._records_of_segments if phase == LOAD]
        added = [point for name, point in found if target in (None, name)] if self.is_search else []
        return list(dict.fromkeys([*planned, *added]))

    @property
    def is_search(self) -> bool:
        """Whether it chose its loads itself, by what it had measured."""
        load = self.profile.get("load") or {}
        return bool((self.header.get("going_on") or {}).get("capacity") or load.get("sweep"))

    @cached_property
    def records(self) -> Sequence[Record]:
        """All requests, in the order they ended."""
        if self._given is not None:
            return self._given
        by_loop = {name: stamped_by_loop(self.header, target) for name, target in self.targets.items()}
        return [record(line, by_loop.get(line["target"], False)) for line in self.log.requests]

    @cached_property
    def _records_of_segments(self) -> dict[tuple[str, LoadPoint, SegmentPhase], Sequence[Record]]:
        return grouped(self.records, lambda one: (one.target, one.load_point, one.segment_phase))

    @cached_property
    def _segments_of_levels(self) -> dict[LevelKey, list[LogLine]]:
        found: dict[LevelKey, list[LogLine]] = {}
        for line in self.log.segments:
            key = segment_key(line)
            if key.phase == LOAD:
                found.setdefault((key.target, key.load_point), []).append(line)
        return found

    def requests(self, target: str, point: LoadPoint) -> Sequence[Record]:
        """All requests of a level, warm-ups included."""
        return self._records_of_segments.get((target, point, LOAD), [])

    def beside(self, target: str, phase: SegmentPhase) -> Sequence[Record]:
        """A target's requests beside its levels."""
        return where(self.records, lambda one: one.target == target and one.segment_phase == phase)

    @cached_property
    def _models(self) -> set[tuple[str, str, bool]]:
        return {(one.target, one.model, one.measured) for one in self.records if one.ok and one.model}

    def models_answered(self, target: str, *, measured: bool = False) -> list[str]:
        """What a target's answers, or the measured ones alone, say they came from."""
        found = {model for name, model, of_load in self._models if name == target and (of_load or not measured)}
        return sorted(found)

    def segments(self, target: str, point: LoadPoint) -> Sequence[LogLine]:
        """The lines of a level's segments that have ended."""
        return self._segments_of_levels.get((target, point), [])

    def checks(self, target: str) -> list[LogLine]:
        """What a target was asked to do beside its load."""
        return [line for line in self.log.checks if line["target"] == target]

    @cached_property
    def conditions(self) -> list[str]:
        """A sentence for each thing that makes figures of this run doubtful."""
        return conditions(self.log)

    def level(self, target: str, point: LoadPoint) -> LevelResult:
        """The figures of a level."""
        key = (target, point)
        if key not in self._levels:
            planned = sum((one.target, one.load_point) == key for one in self.plan)
            measured = MeasuredLevel(self.targets[target], point, planned, self.segments(*key), self.requests(*key))
            self._levels[key] = level_result(self.log, measured)
        return self._levels[key]


class RunReader:
    """Reads a run's log, and what was appended to it each time it is asked again. Raises ResultError."""

    def __init__(self, log_path: Path) -> None:
        self._reader = LogReader(log_path, self._take)
        self._records = RecordStore(self._reader.line)
        self._by_loop: dict[str, bool] = {}

    def _take(self, header: LogLine, line: LogLine) -> None:
        if not self._by_loop:
            self._by_loop = {target["name"]: stamped_by_loop(header, target) for target in header["targets"]}
        self._records.add(line, self._by_loop.get(line["target"], False))

    def run(self) -> MeasuredRun:
        """The run as it is now."""
        log, numbers = self._reader.read()
        return MeasuredRun(log, Records(self._records, numbers))


def read_run(log_path: Path) -> MeasuredRun:
    """A run by its event log. Raises ResultError as `read_log` does."""
    return RunReader(log_path).run()
