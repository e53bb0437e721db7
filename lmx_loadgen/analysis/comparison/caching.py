"""Do answers come out of a cache? A text that no server had read, the same text under another nonce, and the same
beginning with another end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lmx_loadgen.analysis.comparison import same_work
from lmx_loadgen.analysis.comparison.blocks import Arm, figures_of
from lmx_loadgen.analysis.comparison.chance import pairs_p, sooner_p
from lmx_loadgen.analysis.comparison.check_answers import (
    LEAST_GAP_S,
    NOT_ASKED,
    CheckAnswer,
    Question,
    answers_to,
    is_alone,
    least_gap_s,
)
from lmx_loadgen.analysis.comparison.finding import At, AuditFinding, decided
from lmx_loadgen.analysis.formats import milliseconds
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.system.clock import NS

FEWEST_PAIRS = 3
# What comes in under this share of the time was not computed anew.
MAX_RATIO = 0.6
# The load's prompts are compared with the texts only where they are not much shorter or longer: a TTFT has a part that
# all share.
_LEAST_LENGTH = 0.6
_MOST_COMPARED = 40
# What a cache of the beginning speeds up, and so the rates and times it is part of.
_BY_TTFT = figures_of("ttft", "output_tok_s", "e2e")


@dataclass(frozen=True, slots=True)
class Pairs:
    """TTFTs in seconds of what was new and of what should be answered as slowly, with the median of their ratios; `p`
    is how often chance alone would bring the latter so much sooner."""

    new: Sequence[float]
    again: Sequence[float]
    ratio: float
    p: float

    def is_sooner(self, least_gap_s: float) -> bool:
        return self.ratio < MAX_RATIO and median(self.new) - median(self.again) >= least_gap_s

    @property
    def words(self) -> str:
        return f"{milliseconds(median(self.again))} ms, new {milliseconds(median(self.new))} ms"


def cache_new_nonce(at: At, alpha: float) -> AuditFinding:
    """Failed where a body that was sent before comes back sooner under a new nonce: every request of the load has one,
    so such a cache answers the load. Its prompts may be known from an earlier run, which a new text shows."""
    told = same_work.cache_new_nonce(at, alpha)
    if told.status == "failed":
        return told
    words, worst = list(told.observed), AuditFinding("passed", told.observed, told.sentence)
    for place, arm in enumerate((at.a, at.b)):
        of_body, of_load = _again_pairs(arm, "new_nonce"), _load_pairs(at, place)
        if of_body is not None:
            words[place] += f": {of_body.words}"
        for pairs, what in ((of_body, "a text it has answered before"), (of_load, "the prompts of this run")):
            if pairs is None or worst.status == "failed":
                continue
            sentence = (
                f"{arm.label} answers {what} under a new nonce in {milliseconds(median(pairs.again))} ms, and a new "
                f"text in {milliseconds(median(pairs.new))} ms: a cache that ignores the nonce answers the load"
            )
            # Each side may be found out by chance.
            found = decided(not pairs.is_sooner(least_gap_s(at, place)), pairs.p, alpha / 2, told.observed, sentence)
            worst = found if found.status != "passed" else worst
    return AuditFinding(worst.status, (words[0], words[1]), worst.sentence, worst.metrics)


def cache_same_nonce(a: Arm, b: Arm) -> AuditFinding:
    """Which sides have a prefix cache. It answers nothing of a load whose prompts each begin with a nonce of their own;
    where prompts are repeated, it decides."""
    found = _again_pairs(a, "same_nonce"), _again_pairs(b, "same_nonce")
    if found[0] is None or found[1] is None:
        return AuditFinding("unknown", NOT_ASKED)
    has = [pairs is not None and pairs.is_sooner(LEAST_GAP_S) for pairs in found]
    words = tuple(f"{'prefix cache' if had else 'no prefix cache'}: {pairs.words}"
                  for had, pairs in zip(has, found, strict=True) if pairs is not None)  # fmt: skip
    observed = (words[0], words[1])
    if has[0] == has[1]:
        return AuditFinding("passed", observed)
    label = (a if has[0] else b).label
    if any(arm.profile.get("prompts", {}).get("cache") == "repeat" for arm in (a, b)):
        sentence = f"only {label} has a prefix cache, and the prompts of this run are repeats"
        return AuditFinding("failed", observed, sentence, _BY_TTFT)
    sentence = f"only {label} has a prefix cache, which does not count here: every prompt begins with its own nonce"
    return AuditFinding("passed", observed, sentence)


def _again_pairs(arm: Arm, again: Question) -> Pairs | None:
    """The same texts for the first time and again; None below three pairs."""
    new, old = _ttfts(answers_to(arm, "needle")), _ttfts(answers_to(arm, again))
    shared = sorted(set(new) & set(old))
    if len(shared) < FEWEST_PAIRS:
        return None
    some, others = [old[name] for name in shared], list(new.values())
    logs = [math.log(old[name] / new[name]) for name in shared]
    # By rank and by pairs: so few can be in one order by chance, and so many may be far apart on a busy machine.
    p = max(sooner_p(some, others), pairs_p(logs) / 2)
    return Pairs(others, some, math.exp(median(logs)), p)


def _ttfts(answers: Mapping[str, CheckAnswer]) -> dict[str, float]:
    return {name: one.ttft_s for name, one in answers.items()}


def _load_pairs(at: At, place: int) -> Pairs | None:
    """The prompts of the load that are about as long as the new texts against these, per token of the prompt, where one
    request was sent at a time and the server counts both."""
    arm = (at.a, at.b)[place]
    texts = answers_to(arm, "needle")
    per_token = [one.ttft_s / one.prompt_tokens for one in texts.values() if one.prompt_tokens]
    if not is_alone(at) or len(per_token) < FEWEST_PAIRS:
        return None
    length = median(one.prompt_tokens for one in texts.values() if one.prompt_tokens)
    fresh = same_work.never_seen(at.answers[place], arm)
    loaded = [found for one in fresh if (found := _per_token(one, length)) is not None]
    if len(loaded) < FEWEST_PAIRS:
        return None
    some = loaded[:_MOST_COMPARED]
    times = [found * length for found in some], [found * length for found in per_token]
    return Pairs(times[1], times[0], median(some) / median(per_token), sooner_p(*times))


def _per_token(one: Record, length: float) -> float | None:
    if one.usage_prompt is None or one.first_text_ns is None or one.send_ns is None:
        return None
    if not _LEAST_LENGTH * length <= one.usage_prompt <= length / _LEAST_LENGTH:
        return None
    return (one.first_text_ns - one.send_ns) / NS / one.usage_prompt
