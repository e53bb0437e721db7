"""What a check of the audit looks at, and what it finds."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.chance import ALPHA
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.store.result import LevelResult

Status = Literal["passed", "failed", "unknown"]
Observed = tuple[str, str]


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
    concurrency: int
    basis: Basis | None
    results: tuple[LevelResult, LevelResult]
    answers: tuple[list[Record], list[Record]] = field(init=False)
    lines: tuple[list[dict[str, Any]], list[dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        both = [_answered(arm, self.concurrency) for arm in (self.a, self.b)]
        object.__setattr__(self, "answers", tuple([one for one, _ in pairs] for pairs in both))
        object.__setattr__(self, "lines", tuple([line for _, line in pairs] for pairs in both))

    @property
    def labels(self) -> tuple[str, str]:
        return self.a.label, self.b.label

    def pairs(self) -> Iterator[tuple[Record, Record]]:
        """Answers to the same prompt on either side, in the order they ended."""
        waiting: dict[str, deque[Record]] = {}
        for one, line in zip(self.answers[0], self.lines[0], strict=True):
            waiting.setdefault(line["prompt_id"], deque()).append(one)
        for other, line in zip(self.answers[1], self.lines[1], strict=True):
            if mates := waiting.get(line["prompt_id"]):
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


def _answered(arm: Arm, concurrency: int) -> list[tuple[Record, dict[str, Any]]]:
    level = arm.levels[concurrency]
    return [(one, line) for one, line in zip(arm.records, arm.lines, strict=True) if one.level == level and one.ok]
