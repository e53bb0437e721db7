"""What a check of the audit looks at, and what it finds."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.chance import ALPHA
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.result import LevelResult

Status = Literal["passed", "failed", "unknown"]
Observed = tuple[str, str]
_MOST_READ, _MOST_PAIRED = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """What a check found: what it saw on each side, in words, and a sentence where there is something to say.

    `observed` is of A and of B; `metrics` are the names of the compared figures it refuses; none means all of them.
    """

    status: Status
    observed: Observed
    sentence: str = ""
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class At:
    """Both sides at one level: what a check looks at. The basis is the one they are compared on, if there is one."""

    a: Arm
    b: Arm
    load_point: LoadPoint
    basis: Basis | None

    @cached_property
    def answers(self) -> tuple[Sequence[Record], Sequence[Record]]:
        """The requests of either side that were answered, in the order they ended."""
        a, b = (where(arm.at(self.load_point), lambda one: one.ok) for arm in (self.a, self.b))
        return a, b

    @property
    def first_answers(self) -> tuple[Sequence[Record], Sequence[Record]]:
        """Those whose text is looked at: the first thousand of either side."""
        a, b = (of_side[:_MOST_READ] for of_side in self.answers)
        return a, b

    @property
    def results(self) -> tuple[LevelResult, LevelResult]:
        """The figures of either side."""
        a, b = (arm.run.level(arm.name, self.load_point) for arm in (self.a, self.b))
        return a, b

    @property
    def labels(self) -> tuple[str, str]:
        return self.a.label, self.b.label

    def pairs(self) -> Iterator[tuple[Record, Record]]:
        """Answers to the same prompt on either side, in the order they ended, out of the first ten thousand."""
        waiting: dict[str, deque[Record]] = {}
        for one in self.answers[0][:_MOST_PAIRED]:
            waiting.setdefault(one.prompt_id, deque()).append(one)
        for other in self.answers[1][:_MOST_PAIRED]:
            if mates := waiting.get(other.prompt_id):
                yield mates.popleft(), other


def checked(passed: bool, observed: Observed, sentence: str, metrics: tuple[str, ...] = ()) -> AuditFinding:
    """Passed, or failed for the reason that the sentence gives."""
    return AuditFinding("passed", observed) if passed else AuditFinding("failed", observed, sentence, metrics)


def decided(
    within: bool, p: float, alpha: float, observed: Observed, sentence: str, metrics: tuple[str, ...] = ()
) -> AuditFinding:
    """Passed within the limit; beyond it failed, unless two equal sides would differ as much in over `alpha` of
    comparisons: then nobody knows, and nothing is refused."""
    if within:
        return AuditFinding("passed", observed)
    if p <= alpha:
        return AuditFinding("failed", observed, sentence, metrics)
    return AuditFinding("unknown", observed, f"{sentence} (chance explains it: p = {p:.2g})")


def alpha_of(levels: Sequence[At]) -> float:
    """What a check at one of several levels may spend."""
    return ALPHA / max(1, len(levels))
