"""What a target answered to the questions by which a comparison is checked, and what it wrote under load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.finding import At, Observed
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.text_events import answer_text, text_seen
from lmx_loadgen.analysis.text_shape import has_code, kept_text, shape_of_line
from lmx_loadgen.decode.chat import usage_counts
from lmx_loadgen.system.clock import NS

Question = Literal["needle", "new_nonce", "same_nonce", "settings"]
NOT_ASKED: Observed = ("not asked", "not asked")
# Two times differ from this difference on, or from three times the instrument's own error.
LEAST_GAP_S = 0.005
_TIMES_ERROR = 3


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """One answer, given while nothing else was asked. `reads_s` are the times of the reads that brought text, since the
    question was sent; `fewest_tokens` is what the text has at least, `tokens` what the server counts. A thought that
    the limit cut off is no answer yet (`is_thought`). `text` is None where it was not kept; `has_code` says whether it
    has the code that was asked for, None where none was."""

    name: str
    nonce: str
    text: str | None
    is_thought: bool
    reads_s: tuple[float, ...]
    read_characters: tuple[int, ...]
    tokens: int | None
    fewest_tokens: int
    prompt_tokens: int | None
    finish_reason: str | None
    max_tokens: int
    temperature: float
    seed: int | None
    has_code: bool | None

    @property
    def ttft_s(self) -> float:
        return self.reads_s[0]


def answers_to(arm: Arm, question: Question) -> dict[str, CheckAnswer]:
    """The answers of a target by name, the latest of each; those without text are none."""
    lines = [line for line in arm.run.checks(arm.name) if line["check"] == question]
    answered = ((str(line["asked"].get("prompt")), line) for line in lines if line["answer"] is not None)
    return {name: found for name, line in answered if (found := _answer(name, line)) is not None}


def _answer(name: str, line: Mapping[str, Any]) -> CheckAnswer | None:
    asked, came = line["asked"], line["answer"]
    seen = text_seen(came["events"], came["arrivals"], 0)
    if not seen.at_ns:
        return None
    prompt, output, _ = usage_counts(came.get("usage"))
    return CheckAnswer(
        name=name,
        nonce=str(asked.get("nonce")),
        text=kept_text(came),
        is_thought=seen.visible_ns is None or shape_of_line(came).is_open_thought,
        reads_s=tuple(at_ns / NS for at_ns in seen.at_ns),
        read_characters=tuple(seen.characters),
        tokens=output,
        fewest_tokens=seen.chunks,
        prompt_tokens=prompt,
        finish_reason=came.get("finish_reason"),
        max_tokens=asked["max_tokens"],
        temperature=asked["temperature"],
        seed=asked.get("seed"),
        has_code=_has_code(asked.get("expects"), came),
    )


def _has_code(code: str | None, came: Mapping[str, Any]) -> bool | None:
    if not code:
        return None
    return bool(came["has_code"]) if "has_code" in came else has_code(answer_text(came), code)


def texts_by_prompt(answers: Sequence[Record]) -> dict[str, list[str]]:
    """What was written, by prompt, in the order the answers ended."""
    texts: dict[str, list[str]] = {}
    for one in answers:
        texts.setdefault(one.prompt_id, []).append(answer_text(one.line))
    return texts


def least_gap_s(at: At, place: int) -> float:
    """From which difference on two TTFTs of a side are not the instrument's error."""
    error = at.results[place].metrics["ttft"].instrument_error
    return max(LEAST_GAP_S, _TIMES_ERROR * (error or 0.0))


def is_alone(at: At) -> bool:
    """Whether the level has one request at a time."""
    return at.load_point.slots == 1
