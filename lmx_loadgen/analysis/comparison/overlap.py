"""Are the answers of the same kind? Two servers with one model say much the same to the same prompt, as far as either
says the same twice, and other things to other prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.chance import ALPHA, pairs_p
from lmx_loadgen.analysis.comparison.check_answers import answers_to, texts_by_prompt
from lmx_loadgen.analysis.comparison.finding import At, AuditFinding, decided
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.text_shape import NOT_KEPT

# Of the way from answers to other prompts to answers that a server gives to the same prompt twice: below the one they
# are different, and the test asks whether they could be at the other.
MIN_SHARE = 0.2
_FAIR_SHARE = 0.5
# Where a server's own answers to one prompt are hardly more alike than others, nothing can be told.
_LEAST_OWN = 0.08
_GRAM = 4
_CHARACTERS = 500
_MOST_PROMPTS, _OTHERS, _PAIRS = 40, 3, 3
_FEWEST_PROMPTS = 4
# Identical answers are no accident from so many requests with so much text on.
_FEWEST_IDENTICAL, _LEAST_IDENTICAL = 3, 60

_LIKE_ALL = (
    "answers to one prompt are no more alike than answers to other prompts, on either server: they cannot be compared"
)


@dataclass(frozen=True, slots=True)
class _Own:
    """How alike a side's answers are: to the same prompt, and to others."""

    same: float
    others: float
    is_certain: bool

    @property
    def more(self) -> float:
        return self.same - self.others


def overlap(at: At, alpha: float) -> AuditFinding:
    """Failed only where answers to the same prompt differ as those to unrelated prompts do. What other weights, other
    templates and another nonce change is far less."""
    if not all(arm.run.has_text for arm in (at.a, at.b)):
        return AuditFinding("unknown", ("—", "—"), NOT_KEPT)
    texts_a, texts_b = (texts_by_prompt(answers) for answers in at.first_answers)
    shared = [prompt for prompt in texts_a if prompt in texts_b][:_MOST_PROMPTS]
    if shared and all(set(texts_a[prompt]) == set(texts_b[prompt]) for prompt in shared):
        return AuditFinding("passed", ("identical", "identical"))
    a, b = _as_grams(texts_a), _as_grams(texts_b)
    owns = _own(a), _own(b)
    observed = (_own_words(owns[0]), _own_words(owns[1]))
    own = max((one for one in owns if one is not None), key=lambda one: one.more, default=None)
    if len(shared) < _FEWEST_PROMPTS or own is None or own.more < _LEAST_OWN or not own.is_certain:
        return AuditFinding("unknown", observed, "" if own is None else _LIKE_ALL)
    beyond = [_matched(a[prompt], b[prompt]) - _unrelated(prompt, a, b) for prompt in shared]
    matched = percent(fmean(_matched(a[prompt], b[prompt]) for prompt in shared))
    is_lower = fmean(beyond) < _FAIR_SHARE * own.more
    p = pairs_p([one - _FAIR_SHARE * own.more for one in beyond]) if is_lower else 1.0
    return decided(
        fmean(beyond) >= MIN_SHARE * own.more, p, alpha, observed,
        f"answers of {at.labels[0]} and {at.labels[1]} to the same prompt have {matched} in common, those of one "
        f"server {percent(own.same)} and those to unrelated prompts {percent(own.others)}: the two do not answer alike",
    )  # fmt: skip


def _own_words(own: _Own | None) -> str:
    return "—" if own is None else f"{percent(own.same)} in common with its own"


def are_identical(a: Arm, b: Arm) -> bool | None:
    """Whether both gave word for word the same answers to the very same requests: then their weights are the same too,
    as far as it matters. None where there is too little to tell."""
    answers = answers_to(a, "settings"), answers_to(b, "settings")
    both = [(one, other) for name, one in answers[0].items() if (other := answers[1].get(name)) is not None]
    # Separate runs have other nonces.
    pairs = [
        (one.text, other.text)
        for one, other in both
        if one.nonce == other.nonce and one.text is not None and other.text is not None
    ]
    if any(one != other for one, other in pairs):
        return False
    long = sum(len(one) >= _LEAST_IDENTICAL for one, _ in pairs)
    return True if long >= _FEWEST_IDENTICAL else None


def _as_grams(texts: Mapping[str, Sequence[str]]) -> dict[str, list[frozenset[str]]]:
    return {prompt: [_grams(text) for text in of_prompt[:_PAIRS]] for prompt, of_prompt in texts.items()}


def _grams(text: str) -> frozenset[str]:
    """All runs of four characters in the text's beginning: they serve every language, also those without spaces."""
    plain = " ".join(text.lower().split())[:_CHARACTERS]
    return frozenset(plain[place : place + _GRAM] for place in range(max(1, len(plain) - _GRAM + 1)))


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    """The overlap coefficient: of the smaller set, the share that is in the other."""
    return len(one & other) / min(len(one), len(other))


def _matched(one: Sequence[frozenset[str]], other: Sequence[frozenset[str]]) -> float:
    return fmean(_alike(x, y) for x, y in zip(one, other, strict=False))


def _unrelated(
    prompt: str, one: Mapping[str, Sequence[frozenset[str]]], other: Mapping[str, Sequence[frozenset[str]]]
) -> float:
    """One side's answer to a prompt against the other's to the next few."""
    names = list(other)
    at = names.index(prompt)
    others = [names[(at + step) % len(names)] for step in range(1, min(_OTHERS, len(names) - 1) + 1)]
    return fmean(_alike(one[prompt][0], other[name][0]) for name in others)


def _own(texts: Mapping[str, Sequence[frozenset[str]]]) -> _Own | None:
    """Of a side that answered a few prompts twice or more, under nonces of their own."""
    twice = [prompt for prompt, of_prompt in texts.items() if len(of_prompt) > 1][:_MOST_PROMPTS]
    if len(twice) < _FEWEST_PROMPTS:
        return None
    same = [fmean(_alike(x, y) for x, y in pairwise(texts[prompt])) for prompt in twice]
    others = [_unrelated(prompt, texts, texts) for prompt in twice]
    p = pairs_p([x - y for x, y in zip(same, others, strict=True)])
    return _Own(fmean(same), fmean(others), p <= ALPHA)
