"""Did two servers do the same work? Asked before any verdict; where they did not, there is none.

Each check looks at both sides, at one level or at the whole, and finds it passed, failed, or not to be known. What
failed refuses the figures it bears on, with a sentence that names the reason and both values.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

from lmx_loadgen.analysis.asked import asked_of
from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.level import UNKNOWN, rules_of
from lmx_loadgen.analysis.model_names import read_name, weight_bits
from lmx_loadgen.analysis.quality import classify_coherence
from lmx_loadgen.analysis.records import Record, answer_text
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.analysis.tokens import Basis, hidden_tokens, output_tokens
from lmx_loadgen.store.comparison import AuditLine
from lmx_loadgen.store.result import LevelResult

Status = Literal["passed", "failed", "unknown"]
Observed = tuple[str, str]

MAX_PROMPT_DIFFERENCE = 0.02
MAX_LENGTH_DIFFERENCE = 0.05
MAX_FINISH_DISTANCE = 0.05
MAX_DEGENERATE_DIFFERENCE = 0.20
MAX_ERROR_RATE_DIFFERENCE = 0.01
MAX_CACHED_SHARE = 0.10
TEMPLATE_TOKENS = 48  # more than the system prompt that models come with, and less than most prompts
# Longer answers take longer, spread the wait for the first token over more tokens, and have more gaps to stall in.
_BY_LENGTH = ("output_tok_s", "e2e_p50", "longest_stall_p50")
# Some servers leave reasoning in the content, and some templates write the opening tag themselves.
_THINKING = re.compile(r"\s*<think>|.*</think>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """What a check found: what it saw on each side, in words, and a sentence where it did not pass.

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


def _checked(passed: bool, observed: Observed, sentence: str, metrics: tuple[str, ...] = ()) -> AuditFinding:
    """Passed, or failed for the reason that the sentence gives."""
    return AuditFinding("passed", observed) if passed else AuditFinding("failed", observed, sentence, metrics)


def _answered(arm: Arm, concurrency: int) -> list[tuple[Record, dict[str, Any]]]:
    level = arm.levels[concurrency]
    return [(one, line) for one, line in zip(arm.records, arm.lines, strict=True) if one.level == level and one.ok]


def prompt_tokens(at: At) -> AuditFinding:
    a, b = (_prompt_counts(answers, at) for answers in at.answers)
    words = (_tokens(a), _tokens(b))
    if a is None or b is None:
        return AuditFinding("unknown", words, "there is no exact count of prompt tokens on both sides")
    return _checked(
        _relative_difference(a, b) <= MAX_PROMPT_DIFFERENCE,
        words,
        f"prompts have {words[0]} on {at.a.label} and {words[1]} on {at.b.label}, over "
        f"{percent(MAX_PROMPT_DIFFERENCE)} apart: a chat template or a system prompt differs",
    )


def output_length(at: At) -> AuditFinding:
    """Lengths that were fixed must agree; those of the models' own choosing refuse what depends on length."""
    if at.basis is None:
        return AuditFinding("unknown", ("?", "?"), "answers have no count in common")
    a, b = (_mean([output_tokens(one, at.basis) for one in answers]) for answers in at.answers)
    if a is None or b is None:
        return AuditFinding("unknown", ("?", "?"), "answers have no count in common")
    unit = "characters" if at.basis.kind == "characters" else "tokens"
    words = (f"{a:.4g} {unit}", f"{b:.4g} {unit}")
    if _relative_difference(a, b) <= MAX_LENGTH_DIFFERENCE:
        return AuditFinding("passed", words)
    where = f"{words[0]} on {at.a.label} and {words[1]} on {at.b.label}, over {percent(MAX_LENGTH_DIFFERENCE)} apart"
    if _fixed_length(at):
        return AuditFinding("failed", words, f"answers were meant to be of one length but have {where}")
    return AuditFinding("failed", words, f"answers ended by themselves and have {where}", _BY_LENGTH)


def finish_reasons(at: At) -> AuditFinding:
    shares = [Counter(one.finish_reason or UNKNOWN for one in answers) for answers in at.answers]
    totals = [sum(counts.values()) or 1 for counts in shares]
    names = sorted(set(shares[0]) | set(shares[1]))
    distance = sum(abs(shares[0][name] / totals[0] - shares[1][name] / totals[1]) for name in names) / 2
    words = (_finishes(shares[0]), _finishes(shares[1]))
    if inexact := [arm.label for arm in (at.a, at.b) if not rules_of(arm.target).finish_reason_exact]:
        sentence = f"{' and '.join(inexact)} never says that the limit ended an answer: lengths are compared instead"
        return AuditFinding(
            "passed" if words[0] == words[1] else "unknown", words, sentence if words[0] != words[1] else ""
        )
    return _checked(
        distance <= MAX_FINISH_DISTANCE or distance * min(totals) <= 1,  # one answer is chance
        words,
        f"answers end differently: {words[0]} on {at.a.label}, {words[1]} on {at.b.label}",
    )


def coherence(at: At) -> AuditFinding:
    a, b = (_share([_degenerate(line) for line in lines]) for lines in at.lines)
    words = (f"{percent(a)} degenerate", f"{percent(b)} degenerate")
    worse, shares = (at.a.label, (a, b)) if a > b else (at.b.label, (b, a))
    other = at.b.label if a > b else at.a.label
    return _checked(
        abs(a - b) <= MAX_DEGENERATE_DIFFERENCE,
        words,
        f"{percent(shares[0])} of {worse}'s answers are degenerate (repetitive or garbled), {percent(shares[1])} of "
        f"{other}'s: what is fast there is no answer",
    )


def reasoning(at: At) -> AuditFinding:
    pairs = zip(at.answers, at.lines, strict=True)
    a, b = (_share([_reasons(one, line) for one, line in zip(*both, strict=True)]) for both in pairs)
    words = (f"{percent(a)} with reasoning", f"{percent(b)} with reasoning")
    thinks, plain = (at.a.label, at.b.label) if a else (at.b.label, at.a.label)
    return _checked(
        (a == 0) == (b == 0),
        words,
        f"{percent(a or b)} of {thinks}'s answers show reasoning and none of {plain}'s: switch thinking on or off on "
        "both",
    )


def token_basis(at: At) -> AuditFinding:
    """No refusal as long as something else can be counted on both sides."""
    words = (_basis_words(at.results[0]), _basis_words(at.results[1]))
    if at.basis is not None and at.basis.exact:
        return AuditFinding("passed", words)
    without = " and ".join(
        label for label, result in zip(at.labels, at.results, strict=True) if not result.token_basis_exact
    )
    without = without or "the two together"
    if at.basis is None:
        return AuditFinding(
            "failed", words,
            f"{without} gave no real count of tokens, and no text that could be counted instead",
            ("decode_tok_s_p50", "output_tok_s"),
        )  # fmt: skip
    return AuditFinding(
        "unknown", words,
        f"{without} gave no real count of tokens: rates are compared in characters per second "
        "(a tokenizer in the profile would count tokens)",
    )  # fmt: skip


def tainted(at: At) -> AuditFinding:
    reasons = [result.tainted for result in at.results]
    words = ("tainted" if reasons[0] else "clean", "tainted" if reasons[1] else "clean")
    if any(reasons):
        sentence = "; ".join(
            f"{label} was tainted by the instrument: {'; '.join(found)}"
            for label, found in zip(at.labels, reasons, strict=True)
            if found
        )
        return AuditFinding("failed", words, sentence)
    if not all(arm.log.header["instrument"].get("calibration") for arm in (at.a, at.b)):
        return AuditFinding("unknown", words, "the instrument was not calibrated: its own error is not known")
    return AuditFinding("passed", words)


def error_rate(at: At) -> AuditFinding:
    a, b = (_share([not one.ok for one in arm.at(at.concurrency)]) for arm in (at.a, at.b))
    words = (f"{percent(a)} failed", f"{percent(b)} failed")
    return _checked(
        abs(a - b) <= MAX_ERROR_RATE_DIFFERENCE,
        words,
        f"{percent(a)} of the requests failed on {at.a.label} and {percent(b)} on {at.b.label}: who turns work away is "
        "faster with the rest",
    )


def cache(at: At) -> AuditFinding:
    """Repeats, or prompts of which a part was answered from a cache."""
    repeats = [arm.profile.get("prompts", {}).get("cache") == "repeat" for arm in (at.a, at.b)]
    if any(repeats):
        return AuditFinding(
            "failed", ("repeats" if repeats[0] else "unique", "repeats" if repeats[1] else "unique"),
            "the prompts were repeats, so that caches are compared and not servers: use --cache unique",
        )  # fmt: skip
    shares = [_cached_share(answers) for answers in at.answers]
    words = (_unique(shares[0]), _unique(shares[1]))
    return _checked(
        max(known(shares), default=0.0) <= MAX_CACHED_SHARE,
        words,
        f"of the prompts {percent(shares[0] or 0)} came from a cache on {at.a.label} and {percent(shares[1] or 0)} on "
        f"{at.b.label}",
    )


def model(a: Arm, b: Arm) -> AuditFinding:
    """By what the answers say they came from, where they do; else by what was asked for."""
    asked = str(a.target["model"]), str(b.target["model"])
    answered = _answering(a), _answering(b)
    words = tuple(_model_words(*one) for one in zip(answered, asked, strict=True))
    observed = (words[0], words[1])
    if any(len(names) > 1 for names in answered):
        return AuditFinding(
            "failed",
            observed,
            f"several models answered on one side: {observed[0]} on {a.label}, {observed[1]} on {b.label}",
        )
    names = tuple(found[0] if found else wanted for found, wanted in zip(answered, asked, strict=True))
    if names[0] == names[1]:
        return AuditFinding("passed", observed)
    one, other = (read_name(name) for name in names)
    parts = [(one.family, other.family), (one.size, other.size)]
    both_named = one.family is not None and other.family is not None
    other_kind = both_named and one.variants != other.variants
    if other_kind or any(x != y for x, y in parts if x is not None and y is not None):
        return AuditFinding(
            "failed", observed, f"the models differ: {observed[0]} on {a.label}, {observed[1]} on {b.label}"
        )
    if all(x is not None and y is not None for x, y in parts):
        return AuditFinding("passed", observed)
    return AuditFinding("unknown", observed, "the names of the models do not tell whether they are the same")


def _answering(arm: Arm) -> list[str]:
    return sorted({one.model for one in arm.records if one.ok and one.model})


def _model_words(answered: Sequence[str], asked: str) -> str:
    if len(answered) != 1 or answered[0] == asked:
        return ", ".join(answered) or asked
    return f"{answered[0]} (asked for {asked})"


def quantization(a: Arm, b: Arm) -> AuditFinding:
    bits = [_bits(arm) for arm in (a, b)]
    words = (_weights(bits[0]), _weights(bits[1]))
    if bits[0] is None or bits[1] is None:
        if a.target["model"] == b.target["model"] and a.target["dialect"] == b.target["dialect"]:
            return AuditFinding("passed", words)
        return AuditFinding("unknown", words, "not every server tells the bits of its weights")
    sentence = f"the weights differ: {words[0]} on {a.label}, {words[1]} on {b.label}"
    return _checked(bits[0] == bits[1], words, sentence)


def settings(a: Arm, b: Arm) -> AuditFinding:
    """Whether two runs asked for the same; within one run they did."""
    for key, one, other in asked_of(a.log.header).differences(asked_of(b.log.header)):
        return AuditFinding(
            "failed", (f"{key}: {one}", f"{key}: {other}"),
            f"the runs did not ask for the same: {key} is {one} on {a.label} and {other} on {b.label}",
        )  # fmt: skip
    return AuditFinding("passed", ("the same", "the same"))


AT_LEVEL: dict[str, tuple[str, Callable[[At], AuditFinding]]] = {
    "prompt_tokens": ("Prompt tokens", prompt_tokens),
    "output_length": ("Output length", output_length),
    "finish_reasons": ("Finish reasons", finish_reasons),
    "coherence": ("Coherence", coherence),
    "reasoning": ("Reasoning", reasoning),
    "token_basis": ("Token basis", token_basis),
    "tainted": ("Instrument", tainted),
    "error_rate": ("Error rate", error_rate),
    "cache": ("Prompt cache", cache),
}
OF_WHOLE: dict[str, tuple[str, Callable[[Arm, Arm], AuditFinding]]] = {
    "model": ("Model", model),
    "quantisation": ("Quantisation", quantization),
    "settings": ("Settings", settings),
}


def audit(a: Arm, b: Arm, levels: Sequence[At]) -> list[AuditLine]:
    """Every check's lines: one for all levels it found the same at, so that a table of them stays short."""
    lines = [_line(key, title, [], check(a, b)) for key, (title, check) in OF_WHOLE.items()]
    for key, (title, check) in AT_LEVEL.items():
        found: dict[tuple[Any, ...], list[tuple[int, AuditFinding]]] = {}
        for at in levels:
            finding = check(at)
            separate = at.concurrency if finding.status == "failed" else None
            found.setdefault((finding.status, separate, finding.metrics), []).append((at.concurrency, finding))
        for group in found.values():
            numbers = [concurrency for concurrency, _ in group]
            every = len(numbers) == len(levels)
            lines.append(_line(key, title, [] if every else numbers, _summed_up([one for _, one in group])))
    return lines


def _line(key: str, title: str, levels: list[int], found: AuditFinding) -> AuditLine:
    return AuditLine(
        key=key,
        title=title,
        status=found.status,
        levels=levels,
        metrics=list(found.metrics),
        a=found.observed[0],
        b=found.observed[1],
        sentence=found.sentence,
    )


def refuses(line: AuditLine, metric: str, concurrency: int) -> bool:
    """Whether a check takes away the verdict on a figure at a level."""
    of_metric = not line.metrics or metric in line.metrics
    return line.status == "failed" and of_metric and (not line.levels or concurrency in line.levels)


def _summed_up(findings: Sequence[AuditFinding]) -> AuditFinding:
    a, b = (" / ".join(dict.fromkeys(one.observed[place] for one in findings)) for place in (0, 1))
    return replace(findings[0], observed=(a, b))


def _prompt_counts(answers: Sequence[Record], at: At) -> float | None:
    """The mean prompt in tokens, by the server's own count where both servers' is exact, else by a tokenizer."""
    if at.basis is not None and at.basis.prompt_exact:
        return _mean([one.usage_prompt if at.basis.kind != "tokenizer" else one.tokenizer_prompt for one in answers])
    return _mean([one.tokenizer_prompt for one in answers])


def _fixed_length(at: At) -> bool:
    """Asked for, or in effect: every answer was ended by the limit, on each side whose word on it can be taken."""
    if all(arm.profile.get("request", {}).get("ignore_eos") for arm in (at.a, at.b)):
        return True
    pairs = zip((at.a, at.b), at.answers, strict=True)
    trusted = [answers for arm, answers in pairs if rules_of(arm.target).finish_reason_exact]
    return bool(trusted) and all(one.finish_reason == "length" for answers in trusted for one in answers)


def _degenerate(line: Mapping[str, Any]) -> bool:
    """Repetitive or garbled. Cut off at the limit is what was asked for, and finish reasons tell of it."""
    return classify_coherence(answer_text(line), True, 0, 1) in ("repetitive", "garbled")


def _reasons(one: Record, line: Mapping[str, Any]) -> bool:
    """Whether an answer came after thoughts: shown, left in the content, or only counted."""
    if any(kind == "reasoning" for _, kind, _ in line["events"]) or (one.usage_reasoning and hidden_tokens(one)):
        return True
    return _THINKING.match(answer_text(line)) is not None


def _cached_share(answers: Sequence[Record]) -> float | None:
    """Of the prompts' tokens, those from a cache beyond what a chat template puts before the nonce: its own first words
    are the same in every request, and are no part of what was asked."""
    known = [(one.usage_cached, one.usage_prompt) for one in answers if one.usage_cached is not None]
    whole = sum(prompt or 0 for _, prompt in known)
    return sum(max(0, (cached or 0) - TEMPLATE_TOKENS) for cached, _ in known) / whole if whole else None


def _bits(arm: Arm) -> float | None:
    quantization = arm.target.get("server", {}).get("quantization")
    return weight_bits(quantization) or read_name((_answering(arm) or [str(arm.target["model"])])[0]).bits


def _relative_difference(a: float, b: float) -> float:
    return abs(a - b) / max(a, b) if max(a, b) else 0.0


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _mean(values: Sequence[int | None]) -> float | None:
    """Of those that are known, where that is at least half of them: one answer without a count hides no difference."""
    counts = known(values)
    return fmean(counts) if counts and 2 * len(counts) >= len(values) else None


def _tokens(count: float | None) -> str:
    return "no count" if count is None else f"{count:.4g} tokens"


def _finishes(counts: Counter[str]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{percent(count / total)} {name}" for name, count in sorted(counts.items())) or "none"


def _basis_words(result: LevelResult) -> str:
    return result.token_basis if result.token_basis_exact else f"{result.token_basis}, no count of tokens"


def _unique(cached: float | None) -> str:
    return "unique" if cached is None else f"unique, {percent(cached)} cached"


def _weights(bits: float | None) -> str:
    return "not told" if bits is None else f"{bits:g}-bit"
