"""Stored runs as Python objects: their figures as rows, their page, and two of them compared."""

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lmx_loadgen.analysis.level_rows import level_rows
from lmx_loadgen.analysis.measured_run import MeasuredRun, read_run
from lmx_loadgen.analysis.stored_results import read_or_summarize
from lmx_loadgen.errors import ResultError
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.eventlog import NAME
from lmx_loadgen.store.result import RunResult

if TYPE_CHECKING:
    # pandas is no dependency, and may not be there when types are checked.
    DataFrame = Any


class Run:
    """One stored run.

    Attributes:
        folder: where it is stored.
        result: all that was computed of it, as `result.json` has it.
    """

    def __init__(self, folder: Path, result: RunResult) -> None:
        self.folder = folder
        self.result = result

    @property
    def complete(self) -> bool:
        """Whether all was measured that was asked for."""
        return self.result.complete

    @property
    def reason(self) -> str | None:
        """Why it is not complete; None where it is."""
        return self.result.reason

    def levels(self) -> list[dict[str, Any]]:
        """A flat row for each target and level: counts, and of each metric its statistics in seconds or tok/s; None
        where one is undefined."""
        return level_rows(self.result)

    def requests(self) -> list[dict[str, Any]]:
        """A flat row for each request that ended, warm-ups and probes too, in the order they began; times in seconds,
        None where undefined. Raises ResultError where the event log cannot be read."""
        from lmx_loadgen.analysis.request_rows import request_rows

        return list(request_rows(self._measured))

    def comparison(self, a: str | None = None, b: str | None = None) -> Comparison:
        """Target B against target A; the second against the first where none is named. Raises ResultError where there
        are no two, or nothing to compare."""
        from lmx_loadgen.analysis.comparison.blocks import arm_of
        from lmx_loadgen.analysis.comparison.compare import compare as compare_arms

        names = [target.name for target in self.result.targets]
        if len(names) < 2:
            raise ResultError(f"{self.folder} has one target: there is nothing to compare")
        first, second = a or names[0], b or next(name for name in names if name != (a or names[0]))
        for name in (first, second):
            if name not in names:
                raise ResultError(f"{self.folder} has no target {name!r}, but {', '.join(names)}")
        for stored in self.result.comparisons:
            if (stored.a.target, stored.b.target) == (first, second):
                return stored
        return compare_arms(arm_of(self._measured, first), arm_of(self._measured, second))

    def to_pandas(self, per: Literal["request", "level"] = "request") -> "DataFrame":
        """The rows of `requests` or of `levels` as a pandas.DataFrame. Raises ImportError where pandas is missing."""
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "to_pandas() needs pandas, which lmx-loadgen does not install: pip install pandas"
            ) from None
        return pandas.DataFrame(self.requests() if per == "request" else self.levels())

    def save_page(self, path: str | PathLike[str]) -> Path:
        """Draw the run as one HTML page that needs no network, and give its path. Raises StorageError, and ResultError
        where its figures are of other metric definitions."""
        from lmx_loadgen.report.page import build_page
        from lmx_loadgen.report.run_loader import views
        from lmx_loadgen.store.reference import NAME as REFERENCE
        from lmx_loadgen.store.reference import read_reference
        from lmx_loadgen.store.result import write_whole
        from lmx_loadgen.system import package_data
        from lmx_loadgen.system.disk import make_folder

        known = package_data.folder("reference")
        drawn = views([self.folder], self.folder.parent, lambda words: None)
        page = build_page(drawn, reference=read_reference(known / REFERENCE))
        target = Path(path)
        make_folder(target.parent)
        write_whole(target, page.encode())
        return target

    def _repr_html_(self) -> str:
        """The summary table, as a notebook shows it."""
        from lmx_loadgen.report.page import summary_html
        from lmx_loadgen.report.run_loader import view_of

        return summary_html([view_of(self.result, self._measured)])

    def __repr__(self) -> str:
        targets = ", ".join(target.name for target in self.result.targets)
        return f"<Run {self.folder.name}: {targets}{'' if self.complete else f', incomplete: {self.reason}'}>"

    @cached_property
    def _measured(self) -> MeasuredRun:
        return read_run(self.folder / NAME)


def load_run(path: str | PathLike[str]) -> Run:
    """A stored run, by its folder. Raises ResultError."""
    folder = Path(path)
    return Run(folder, read_or_summarize(folder))


Named = Run | str | PathLike[str]


def compare(
    a: Named | Sequence[Named],
    b: Named | Sequence[Named],
    *,
    margin: float = 0.03,
    accept: str | None = None,
    results_dir: str | PathLike[str] = "reports",
) -> Comparison:
    """B against A, as `lmx-loadgen compare` says it: better or worse only where chance and drift do not explain it.

    A side is a Run, its folder, `"FOLDER:TARGET"`, the name of a target in the newest run of `results_dir`, or a list
    of runs of the same work. Two separate runs are one observation each: better or worse takes several of each side,
    or three earlier runs of the same work in `results_dir`.

    Args:
        margin: differences within it do not matter.
        accept: why failed checks of the work are overridden.

    Raises InputError or ResultError where a side is not one measurement, or there is nothing to compare.
    """
    from lmx_loadgen.analysis.comparison.sides import Rules
    from lmx_loadgen.commands.sides import compared, pair, replicates

    folder = Path(results_dir)
    if isinstance(a, (list, tuple)) or isinstance(b, (list, tuple)):
        sides = replicates(_words(a), _words(b), folder)
    else:
        sides = pair([*_words(a), *_words(b)], folder)
    return compared(*sides, Rules(margin=margin, accepted=accept))


def _words(side: Any) -> list[str]:
    """What the command line would call a side."""
    named = side if isinstance(side, (list, tuple)) else [side]
    return [str(one.folder if isinstance(one, Run) else one) for one in named]
