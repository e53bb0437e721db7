"""Does the usage fit the text? One model writes as many characters a token on any server."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from lmx_loadgen.analysis.comparison import same_setup
from lmx_loadgen.analysis.comparison.blocks import figures_of
from lmx_loadgen.analysis.comparison.chance import pairs_p
from lmx_loadgen.analysis.comparison.finding import At, AuditFinding, decided
from lmx_loadgen.analysis.comparison.visible_characters import visible_count
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.level import rules_of
from lmx_loadgen.analysis.text_events import answer_text
from lmx_loadgen.analysis.tokens import Basis, usage_state, visible_tokens

MAX_DIFFERENCE = 0.10
# Of an answer: some servers count the marks at its end, and some do not.
_MARKS = 2
# What a count of tokens, or an answer that is cut short behind it, falsifies.
_BY_TOKENS = figures_of("decode_tok_s", "output_tok_s", "e2e", "longest_stall")
_USAGE = Basis("usage", True, False)


@dataclass(frozen=True, slots=True)
class _Counted:
    """An answer's visible characters, and the tokens that its server counts in it."""

    prompt_id: str
    characters: int
    tokens: int

    @property
    def log(self) -> float:
        return math.log(self.characters / self.tokens)


def characters_per_token(at: At, alpha: float) -> AuditFinding:
    """Failed where the characters a token differ by more than a tenth, which one model does not explain. Counted are
    the characters that a reader sees. It matters where the servers' own usage is what rates are made of."""
    sides = _counted(at, 0), _counted(at, 1)
    if min(map(len, sides)) * 2 < max(map(len, at.first_answers)) or not all(sides):
        return AuditFinding("unknown", ("no count", "no count"), _doubts(at))
    means = [math.exp(fmean(one.log for one in side)) for side in sides]
    words = (f"{means[0]:.3g} characters a token", f"{means[1]:.3g} characters a token")
    if at.basis is None or at.basis.kind != "usage":
        return AuditFinding("passed", words)
    within = abs(math.log(means[1] / means[0])) <= math.log1p(MAX_DIFFERENCE) or _are_marks(sides, means)
    more = at.labels[means[1] > means[0]]
    less = at.labels[means[1] <= means[0]]
    sentence = (
        f"{less}'s answers have {min(means):.3g} characters for each token that it reports, {more}'s "
        f"{max(means):.3g}: over {percent(MAX_DIFFERENCE)} apart, so {less} counts tokens that nobody received"
    )
    found = decided(within, _p(sides), alpha, words, sentence, _BY_TOKENS)
    if found.status == "failed" and same_setup.model(at.a, at.b).status != "passed":
        return AuditFinding("unknown", words, f"{sentence}, or the models have other tokenizers")
    return found


def _counted(at: At, place: int) -> list[_Counted]:
    """The answers whose usage is a count of tokens."""
    arm = (at.a, at.b)[place]
    if not rules_of(arm.target).usage_output_exact:
        return []
    found = []
    for one in at.first_answers[place]:
        tokens, characters = visible_tokens(one, _USAGE), visible_count(answer_text(one.line))
        if tokens and characters:
            found.append(_Counted(one.prompt_id, characters, tokens))
    return found


def _doubts(at: At) -> str:
    """Whose usage cannot be of the text that came; it is not counted with then."""
    for place, arm in enumerate((at.a, at.b)):
        states = [usage_state(one) for one in at.answers[place]] if rules_of(arm.target).usage_output_exact else []
        doubtful = states.count("doubtful") + states.count("impossible")
        if states and 2 * doubtful > len(states):
            return f"{percent(doubtful / len(states))} of {arm.label}'s answers have a usage that their text cannot be"
    return ""


def _are_marks(sides: tuple[Sequence[_Counted], Sequence[_Counted]], means: Sequence[float]) -> bool:
    """Whether a mark or two an answer explain the difference: without them the lower side has as many."""
    low = means[1] < means[0]
    more = [math.log(one.characters / max(1, one.tokens - _MARKS)) for one in sides[low]]
    return math.exp(fmean(more)) * (1 + MAX_DIFFERENCE) >= means[not low]


def _p(sides: tuple[Sequence[_Counted], Sequence[_Counted]]) -> float:
    """Over answers to the same prompt, as many as both sides have."""
    by_prompt: dict[str, list[float]] = {}
    for one in sides[0]:
        by_prompt.setdefault(one.prompt_id, []).append(one.log)
    differences = [one.log - mates.pop() for one in sides[1] if (mates := by_prompt.get(one.prompt_id))]
    return pairs_p(differences)
