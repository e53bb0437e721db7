"""Did both sides do the same work at a level? Each check finds it passed, failed, or not to be known.

A limit says what matters, a test beside it whether chance explains that it was passed.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from lmx_loadgen.analysis import conditions
from lmx_loadgen.analysis.cache import TEMPLATE_TOKENS
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Arm, figures_of
from lmx_loadgen.analysis.comparison.chance import kinds_p, pairs_p, shares_p
from lmx_loadgen.analysis.comparison.finding import At, AuditFinding, checked, decided
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.instrument_error import MOST_ERROR, is_tainted, left_out_words
from lmx_loadgen.analysis.level import UNKNOWN, rules_of
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.shapes import cut_note
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.analysis.text_shape import coherence_of
from lmx_loadgen.analysis.tokens import hidden_tokens, output_tokens
from lmx_loadgen.analysis.turns import turn_of
from lmx_loadgen.store.result import LevelResult

MAX_PROMPT_DIFFERENCE = 0.02
MAX_PROMPT_TOKENS = 4.0
# What chat templates differ by: as much with every prompt, and no more than a default system message has.
MAX_TEMPLATE_TOKENS = 64.0
MAX_LENGTH_DIFFERENCE = 0.05
# Answers of as many tokens differ in characters: what is written is not the same.
MAX_CHARACTERS_DIFFERENCE = 0.25
MAX_FINISH_DISTANCE = 0.05
MAX_DEGENERATE_DIFFERENCE = 0.20
MAX_REASONING_DIFFERENCE = 0.05
MAX_ERROR_RATE_DIFFERENCE = 0.01
MAX_CACHED_SHARE = 0.10
# Longer answers take longer, spread the wait for the first token over more tokens, and have more gaps to stall in.
BY_LENGTH = figures_of("output_tok_s", "e2e", "longest_stall")


def prompt_tokens(at: At, alpha: float) -> AuditFinding:
    """Prompts of as many tokens on either side. Another chat template adds as many to each: a note, since the two
    servers then do what they always do."""
    if cut := _cut(at):
        return cut
    pairs = [(_prompt_count(a, at), _prompt_count(b, at)) for a, b in at.pairs()]
    counted = _both_known(pairs)
    if not _is_enough(len(counted), len(pairs)):
        return AuditFinding("unknown", ("no count", "no count"), "not both sides give an exact count of prompt tokens")
    a, b = fmean(a for a, _ in counted), fmean(b for _, b in counted)
    words = (f"{a:.4g} tokens", f"{b:.4g} tokens")
    differences = [float(other - one) for one, other in counted]
    if abs(a - b) <= max(MAX_PROMPT_DIFFERENCE * max(a, b), MAX_PROMPT_TOKENS):
        return AuditFinding("passed", words)
    if abs(a - b) <= MAX_TEMPLATE_TOKENS and max(differences) - min(differences) <= MAX_PROMPT_TOKENS:
        more = at.labels[b > a]
        return AuditFinding(
            "passed", words, f"every prompt has about {abs(b - a):.3g} tokens more on {more}: the chat template differs"
        )
    return decided(
        False, pairs_p(differences), alpha, words,
        f"prompts have {words[0]} on {at.a.label} and {words[1]} on {at.b.label}, over "
        f"{percent(MAX_PROMPT_DIFFERENCE)} apart",
    )  # fmt: skip


def _cut(at: At) -> AuditFinding | None:
    """A server that read less than it was sent did other work, also where the other one did the same."""
    found = [_cut_words(at, place) for place in (0, 1)]
    if not any(found):
        return None
    sentences = [f"{label}: {words}" for label, words in zip(at.labels, found, strict=True) if words]
    return AuditFinding(
        "failed", ("cut" if found[0] else "whole", "cut" if found[1] else "whole"), "; ".join(sentences)
    )


def _cut_words(at: At, place: int) -> str | None:
    """That a side's prompts were cut: by the length that its shape asks for, else by a tokenizer's count of them."""
    shape = at.results[place].shape
    if shape is not None:
        return shape.sentence if shape.status == "failed" else None
    exact = rules_of((at.a, at.b)[place].target).usage_prompt_exact
    return cut_note(at.answers[place], usage_exact=exact)


def output_length(at: At, alpha: float) -> AuditFinding:
    """Answers of other lengths refuse what depends on length."""
    if at.basis is None:
        return AuditFinding("unknown", ("?", "?"), "answers have no count in common")
    basis = at.basis
    a, b = (_mean([output_tokens(one, basis) for one in answers]) for answers in at.answers)
    if a is None or b is None:
        return AuditFinding("unknown", ("?", "?"), "answers have no count in common")
    in_characters = basis.kind == "characters"
    limit = MAX_CHARACTERS_DIFFERENCE if in_characters else MAX_LENGTH_DIFFERENCE
    unit = "characters" if in_characters else "tokens"
    words = (f"{a:.4g} {unit}", f"{b:.4g} {unit}")
    counted = _both_known([(output_tokens(x, basis), output_tokens(y, basis)) for x, y in at.pairs()])
    differences = [float(other - one) for one, other in counted]
    return decided(
        _relative_difference(a, b) <= limit, pairs_p(differences), alpha, words,
        f"answers have {words[0]} on {at.a.label} and {words[1]} on {at.b.label}, over {percent(limit)} apart",
        BY_LENGTH,
    )  # fmt: skip


def finish_reasons(at: At, alpha: float) -> AuditFinding:
    shares = [Counter(one.finish_reason or UNKNOWN for one in answers) for answers in at.answers]
    totals = [sum(counts.values()) or 1 for counts in shares]
    names = sorted(set(shares[0]) | set(shares[1]))
    distance = sum(abs(shares[0][name] / totals[0] - shares[1][name] / totals[1]) for name in names) / 2
    words = (_finishes(shares[0]), _finishes(shares[1]))
    if inexact := [arm.label for arm in (at.a, at.b) if not rules_of(arm.target).finish_reason_exact]:
        if words[0] == words[1]:
            return AuditFinding("passed", words)
        sentence = f"{' and '.join(inexact)} never says that the limit ended an answer: lengths are compared instead"
        return AuditFinding("unknown", words, sentence)
    return decided(
        distance <= MAX_FINISH_DISTANCE, kinds_p(*shares), alpha, words,
        f"answers end differently: {words[0]} on {at.a.label}, {words[1]} on {at.b.label}", BY_LENGTH,
    )  # fmt: skip


def coherence(at: At, alpha: float) -> AuditFinding:
    found = _Shares.of(at, [[_degenerate(one) for one in answers] for answers in at.answers], "degenerate")
    return decided(
        found.difference <= MAX_DEGENERATE_DIFFERENCE, found.p, alpha, found.words,
        f"{found.higher} answers are degenerate (repetitive or garbled), {found.lower}: fast output is meaningless "
        "when it is degenerate",
    )  # fmt: skip


def reasoning(at: At, alpha: float) -> AuditFinding:
    found = _Shares.of(at, [[_reasons(one) for one in answers] for answers in at.answers], "with reasoning")
    return decided(
        found.difference <= MAX_REASONING_DIFFERENCE, found.p, alpha, found.words,
        f"{found.higher} answers show reasoning, {found.lower}: switch thinking on or off on both",
    )  # fmt: skip


def error_rate(at: At, alpha: float) -> AuditFinding:
    failed = [[not one.ok for one in arm.at(at.load_point)] for arm in (at.a, at.b)]
    found = _Shares.of(at, failed, "failed")
    return decided(
        found.difference <= MAX_ERROR_RATE_DIFFERENCE, found.p, alpha, found.words,
        f"{found.higher} requests failed, {found.lower}: a server that rejects requests looks faster on those it "
        "accepts",
    )  # fmt: skip


def token_basis(at: At, alpha: float) -> AuditFinding:
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


def tainted(at: At, alpha: float) -> AuditFinding:
    """Figures that this machine may have moved: all of them where it slept, or ran a translated Python. One that is not
    compared refuses nothing."""
    if spoiled := _spoiled(at):
        return spoiled
    of_each = [
        {name for name, one in COMPARED.items() if is_tainted(result.metrics[one.metric], one.percent)}
        for result in at.results
    ]
    words = (_instrument_words(of_each[0], at.results[0]), _instrument_words(of_each[1], at.results[1]))
    if of_each[0] or of_each[1]:
        sentence = "; ".join(
            f"this machine may have moved {_titles(found)} of {label} by more than {percent(MOST_ERROR)}"
            for label, found in zip(at.labels, of_each, strict=True)
            if found
        )
        return AuditFinding(
            "failed", words, sentence, tuple(name for name in COMPARED if name in of_each[0] | of_each[1])
        )
    if any(result.witness.calibrated_at is None for result in at.results):
        return AuditFinding("unknown", words, "the run was not calibrated")
    sentences = [f"{label}: {left_out}" for label, left_out in zip(at.labels, words, strict=True) if left_out != _CLEAN]
    return AuditFinding("passed", words, "; ".join(sentences))


def _spoiled(at: At) -> AuditFinding | None:
    """Where no figure of a side is reliable, whatever its delays."""
    reasons = [conditions.taints(arm.run.log, arm.segments(at.load_point)) for arm in (at.a, at.b)]
    if not any(reasons):
        return None
    found = zip(at.labels, reasons, strict=True)
    sentence = "; ".join(f"{label}: {'; '.join(words)}" for label, words in found if words)
    return AuditFinding("failed", ("tainted" if reasons[0] else _CLEAN, "tainted" if reasons[1] else _CLEAN), sentence)


_CLEAN = "clean"


def _instrument_words(names: set[str], result: LevelResult) -> str:
    if names:
        return f"tainted: {_titles(names)}"
    left_out = max(found.left_out for found in result.metrics.values())
    return left_out_words(left_out, result.requests.sent - result.requests.cancelled) if left_out else _CLEAN


def _titles(names: set[str]) -> str:
    return ", ".join(dict.fromkeys(METRICS[one.metric].title for name, one in COMPARED.items() if name in names))


def cache_new_nonce(at: At, alpha: float) -> AuditFinding:
    """Repeats, or prompts of which a part was answered from a cache."""
    repeats = [arm.profile.get("prompts", {}).get("cache") == "repeat" for arm in (at.a, at.b)]
    if any(repeats):
        return AuditFinding(
            "failed", ("repeats" if repeats[0] else "unique", "repeats" if repeats[1] else "unique"),
            "the prompts were repeats, so that caches are compared and not servers: use --cache unique",
        )  # fmt: skip
    shares = [_cached_share(never_seen(answers, arm)) for answers, arm in zip(at.answers, (at.a, at.b), strict=True)]
    words = (_unique(shares[0]), _unique(shares[1]))
    return checked(
        max(known(shares), default=0.0) <= MAX_CACHED_SHARE,
        words,
        f"of the prompts {percent(shares[0] or 0)} came from a cache on {at.a.label} and {percent(shares[1] or 0)} on "
        f"{at.b.label}",
    )


class _Shares:
    """What share of each side's requests is of a kind, in numbers and in words."""

    def __init__(self, labels: tuple[str, str], hits: tuple[int, int], totals: tuple[int, int], kind: str) -> None:
        shares = [hit / total if total else 0.0 for hit, total in zip(hits, totals, strict=True)]
        self.difference = abs(shares[0] - shares[1])
        self.p = shares_p(hits[0], totals[0], hits[1], totals[1])
        self.words = (f"{percent(shares[0])} {kind}", f"{percent(shares[1])} {kind}")
        more, less = (0, 1) if shares[0] > shares[1] else (1, 0)
        self.higher = f"{percent(shares[more])} of {labels[more]}'s"
        self.lower = f"{percent(shares[less])} of {labels[less]}'s"

    @classmethod
    def of(cls, at: At, values: Sequence[Sequence[bool]], kind: str) -> "_Shares":
        a, b = values
        return cls(at.labels, (sum(a), sum(b)), (len(a), len(b)), kind)


def _prompt_count(answer: Record, at: At) -> int | None:
    """The prompt in tokens, by the server's own count where both servers' is exact, else by a tokenizer."""
    if at.basis is not None and at.basis.prompt_exact and at.basis.kind != "tokenizer":
        return answer.usage_prompt
    return answer.tokenizer_prompt


def _degenerate(one: Record) -> bool:
    """Repetitive or garbled. Cut off at the limit is what was asked for, and finish reasons tell of it."""
    return coherence_of(one.shape, True, 0, 1) in ("repetitive", "garbled")


def _reasons(one: Record) -> bool:
    """Whether an answer came after thoughts: shown, left in the content, or only counted."""
    is_hidden = bool(one.usage_reasoning and hidden_tokens(one))
    return one.has_reasoning or is_hidden or one.shape.has_thought


def never_seen(answers: Sequence[Record], arm: Arm) -> Sequence[Record]:
    """Those to prompts that no server can have seen: of chats only first turns, and none where all share a system
    message, which a cache is meant to hold."""
    if arm.profile.get("prompts", {}).get("shared_system") is not None:
        return where(answers, lambda one: turn_of(one) is None)
    return where(answers, lambda one: turn_of(one) in (None, 1))


def _cached_share(answers: Sequence[Record]) -> float | None:
    """Of the prompts' tokens, those from a cache beyond what a chat template puts before the nonce: its own first words
    are the same in every request, and are no part of what was asked."""
    known = [(one.usage_cached, one.usage_prompt) for one in answers if one.usage_cached is not None]
    whole = sum(prompt or 0 for _, prompt in known)
    return sum(max(0, (cached or 0) - TEMPLATE_TOKENS) for cached, _ in known) / whole if whole else None


def _relative_difference(a: float, b: float) -> float:
    return abs(a - b) / max(a, b) if max(a, b) else 0.0


def _mean(values: Sequence[int | None]) -> float | None:
    """Of those that are known, where they are enough."""
    counts = known(values)
    return fmean(counts) if _is_enough(len(counts), len(values)) else None


def _is_enough(known: int, of: int) -> bool:
    """Whether counts are known of at least half: one answer without a count hides no difference."""
    return known > 0 and 2 * known >= of


def _both_known(pairs: Sequence[tuple[int | None, int | None]]) -> list[tuple[int, int]]:
    return [(one, other) for one, other in pairs if one is not None and other is not None]


def _finishes(counts: Counter[str]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{percent(count / total)} {name}" for name, count in sorted(counts.items())) or "none"


def _basis_words(result: LevelResult) -> str:
    return result.token_basis if result.token_basis_exact else f"{result.token_basis}, no count of tokens"


def _unique(cached: float | None) -> str:
    return "unique" if cached is None else f"unique, {percent(cached)} cached"
