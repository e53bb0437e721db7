"""Are the settings kept? `max_tokens`, `temperature` and `seed` as the answers show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lmx_loadgen.analysis.comparison.blocks import Arm, figures_of
from lmx_loadgen.analysis.comparison.chance import ALPHA, at_least_p
from lmx_loadgen.analysis.comparison.check_answers import NOT_ASKED, CheckAnswer, answers_to
from lmx_loadgen.analysis.comparison.finding import AuditFinding
from lmx_loadgen.analysis.comparison.same_work import BY_LENGTH
from lmx_loadgen.analysis.level import rules_of
from lmx_loadgen.analysis.text_shape import NOT_KEPT
from lmx_loadgen.analysis.tokens import usage_state

State = Literal["kept", "ignored", "not seen"]
Setting = Literal["max_tokens", "temperature", "seed"]

# Some count the mark at an answer's end.
_MARKS = 2
_EARLY = 0.9
# How often, at most, a setting that is kept looks broken: rounding sends two answers apart, two draws of so many
# characters are the same, or the context ends before the limit.
_BY_ACCIDENT = 0.05
_LEAST_TEXT = 40
# A lower temperature may draw the same words again and again.
_LEAST_TEMPERATURE = 0.5
# What the way in which tokens are drawn decides, beside the length of answers.
_BY_DRAWING = figures_of("decode_tok_s", "output_tok_s", "e2e", "longest_stall")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a side's answers show of a setting, and how it was broken."""

    state: State
    how: str = ""


def ignored_settings(a: Arm, b: Arm) -> AuditFinding:
    """Failed where one side keeps a setting and the other does not. What both ignore alike is a note."""
    sides = _seen(a), _seen(b)
    observed = (_words(sides[0]), _words(sides[1]))
    if not any(one.state != "not seen" for side in sides for one in side.values()):
        return AuditFinding("unknown", NOT_ASKED)
    notes = [] if a.run.has_text and b.run.has_text else [f"temperature and seed are unknown: {NOT_KEPT}"]
    for name in sides[0]:
        one, other = sides[0][name], sides[1][name]
        states = (one.state, other.state)
        if states == ("ignored", "ignored"):
            notes.append(f"both ignore {name}")
        elif "ignored" in states:
            place = states.index("ignored")
            label, bad = (a, b)[place].label, (one, other)[place]
            sentence = f"{label} ignores {name}: {bad.how}"
            if "kept" in states:
                figures = _BY_DRAWING if name == "temperature" else BY_LENGTH
                return AuditFinding("failed", observed, f"{sentence}; {(b, a)[place].label} keeps it", figures)
            notes.append(sentence)
    return AuditFinding("passed", observed, "; ".join(notes))


def _seen(arm: Arm) -> dict[Setting, _Seen]:
    answers = answers_to(arm, "settings")
    return {
        "max_tokens": _max_tokens(arm, list(answers.values())),
        "temperature": _temperature(answers),
        "seed": _seed(answers),
    }


def _words(seen: dict[Setting, _Seen]) -> str:
    return ", ".join(f"{name} {one.state}" for name, one in seen.items())


def _max_tokens(arm: Arm, checked: Sequence[CheckAnswer]) -> _Seen:
    """Answers that go on beyond the limit, and answers that say the limit ended them long before it."""
    rules = rules_of(arm.target)
    counted = [(_tokens(one, rules.usage_output_exact), one.max_tokens or 0, one.finish_reason) for one in checked]
    mine = (one for one in arm.run.records if one.target == arm.name and one.measured and one.ok and one.max_tokens)
    for record in mine:
        exact = rules.usage_output_exact and usage_state(record) == "exact"
        tokens = record.usage_output if exact and record.usage_output is not None else record.fewest_tokens
        counted.append((tokens, record.max_tokens or 0, record.finish_reason if exact else None))
    ends = rules.finish_reason_exact and rules.usage_output_exact
    longer = [tokens for tokens, limit, _ in counted if tokens > limit + _MARKS]
    early = [tokens for tokens, limit, finish in counted
             if ends and finish == "length" and tokens < _EARLY * limit - _MARKS]  # fmt: skip
    reached = sum(abs(tokens - limit) <= _MARKS for tokens, limit, _ in counted)
    if len(longer) >= len(early):
        return _found(len(longer), len(longer) + reached, "answers that reach it go on")
    usual = sorted(early)[len(early) // 2]
    return _found(len(early), len(early) + reached, f"answers that it ended, as the server says, have {usual} tokens")


def _tokens(answer: CheckAnswer, usage_exact: bool) -> int:
    return answer.tokens if usage_exact and answer.tokens is not None else answer.fewest_tokens


def _temperature(answers: dict[str, CheckAnswer]) -> _Seen:
    """At 0 the same request gets the same answer; well above it, other seeds or no seed get another one."""
    pairs = _pairs(answers, "again")
    if not pairs:
        return _Seen("not seen")
    if pairs[0][0].temperature == 0:
        differing = sum(not _same_start(one, other) for one, other in pairs)
        return _found(differing, len(pairs), "answers at temperature 0 are others when asked for again")
    if pairs[0][0].seed is not None:
        pairs = _pairs(answers, "other-seed")
    if not pairs or pairs[0][0].temperature < _LEAST_TEMPERATURE:
        return _Seen("not seen")
    same = sum(one.text == other.text for one, other in pairs)
    return _found(same, len(pairs), f"answers at temperature {pairs[0][0].temperature:g} are the same when drawn again")


def _seed(answers: dict[str, CheckAnswer]) -> _Seen:
    """Above temperature 0, the same seed gets the same answer. Without a seed sent, the setting is unknown."""
    pairs = [pair for pair in _pairs(answers, "again") if pair[0].temperature > 0 and pair[0].seed is not None]
    if not pairs:
        return _Seen("not seen")
    differing = sum(not _same_start(*pair) for pair in pairs)
    return _found(differing, len(pairs), "answers are others when drawn again with the same seed")


def _found(broken: int, of: int, what: str) -> _Seen:
    """By how often a setting was broken where it could be, against what happens by accident."""
    if not broken:
        return _Seen("kept" if of else "not seen")
    if at_least_p(broken, of, _BY_ACCIDENT) > ALPHA:
        return _Seen("not seen")
    return _Seen("ignored", f"{broken} of {of} {what}")


def _pairs(answers: dict[str, CheckAnswer], other: str) -> list[tuple[CheckAnswer, CheckAnswer]]:
    """Two answers to the same request, those that are too short to tell anything left out."""
    found = []
    for name, one in answers.items():
        kind, _, place = name.rpartition("-")
        mate = answers.get(f"{other}-{place}")
        if kind == "first" and mate is not None and min(len(one.text or ""), len(mate.text or "")) >= _LEAST_TEXT:
            found.append((one, mate))
    return found


def _same_start(one: CheckAnswer, other: CheckAnswer) -> bool:
    """Whether their first halves are the same: rounding may send answers apart some way on, and a lot at once."""
    texts = one.text or "", other.text or ""
    half = max(map(len, texts)) // 2
    return texts[0][:half] == texts[1][:half]
