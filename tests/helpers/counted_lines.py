"""Answers made by hand for tests of token counts: words of one sentence, 5 ms apart, and what their usage says."""

from collections.abc import Sequence
from typing import Any

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.result import LevelResult
from tests.helpers.made_lines import Reads, made_log, request_line

# 13 tokens, 60 bytes
OTTERS = ["Sea", " otters", " hold", " hands", " while", " they", " sleep"]
OTTERS += [",", " so", " none", " drifts", " away", "."]


def spoken(words: Sequence[str] = OTTERS, first: float = 500, step: float = 5, kind: str = "content") -> Reads:
    """A word a read."""
    return [(first + step * place, [f"{kind}:{word}"]) for place, word in enumerate(words)]


def counted(output: Any, reasoning: Any = None, prompt: Any = 30) -> dict[str, Any]:
    """A usage object, with a count of reasoning tokens where one is given."""
    usage = {"prompt_tokens": prompt, "completion_tokens": output}
    return usage if reasoning is None else usage | {"completion_tokens_details": {"reasoning_tokens": reasoning}}


def with_running(reads: Reads, counts: Sequence[int]) -> Reads:
    """The same reads, each with the running count of its chunk's usage behind its text."""
    return [(at, [*events, f"usage:{count}"]) for (at, events), count in zip(reads, counts, strict=True)]


def answer(usage: dict[str, Any] | None, reads: Reads | None = None, **changes: Any) -> dict[str, Any]:
    """An answer of the sentence (or these reads) with this usage."""
    return request_line(spoken() if reads is None else reads, usage=usage, **changes)


def level_of(lines: list[dict[str, Any]], **changes: Any) -> LevelResult:
    """The level that these answers make, sent one a second; its window is from 0 to 5 s."""
    return summarize(MeasuredRun(made_log(lines, **changes))).targets[0].levels[0]


def noted(level: LevelResult, words: str) -> bool:
    return any(words in note for note in level.notes)
