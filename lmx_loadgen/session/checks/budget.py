"""Which checks of a comparison fit into a run: all that is asked beside the load takes a tenth of its planned time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.needle_text import DEPTHS, MORE_DEPTHS
from lmx_loadgen.session.checks.questions import FEWEST_TOKENS, NEEDLE_TOKENS, PAIRS, SHORT_TOKENS, TEXT_TOKENS
from lmx_loadgen.session.jobs import PROBE_TOKENS, STABILITY_TOKENS
from lmx_loadgen.session.plan import Segment, assumed_answer_s, estimate_s, stability_points

SHARE = 0.10
_PROBE_REQUESTS = 3

Group = Literal["needle", "caching", "settings", "more_needles"]
_WORDS: dict[Group, str] = {
    "needle": "prompt",
    "caching": "caches",
    "settings": "settings",
    "more_needles": "prompt",
}


@dataclass(frozen=True, slots=True)
class CheckBudget:
    """What is asked of each target, in `requests` that take about `seconds`; `limit_s` is what they may take."""

    groups: tuple[Group, ...]
    requests: int
    seconds: float
    limit_s: float

    @property
    def words(self) -> str:
        """The line of the plan, with the probe of the prefix cache."""
        what = ", ".join(dict.fromkeys(("caches", *(_WORDS[group] for group in self.groups))))
        requests, seconds = (
            self.requests + _PROBE_REQUESTS,
            self.seconds + _PROBE_REQUESTS * assumed_answer_s(PROBE_TOKENS),
        )
        return f"  checks: {requests} short requests per target, about {seconds:.0f} s ({what})"


def check_budget(profile: Profile, plan: Sequence[Segment]) -> CheckBudget:
    """The checks that fit, in their order of importance: one that does not is left out, and so are all after it.

    The probe of the cache and the comparison of answers at several concurrencies come first.
    """
    left = limit = SHARE * estimate_s(profile, plan) / max(1, len(profile.targets)) - _before_s(profile)
    groups: list[Group] = []
    requests = 0
    for group, tokens in _tokens(profile).items():
        needed = sum(map(assumed_answer_s, tokens))
        if needed > left:
            break
        groups.append(group)
        requests += len(tokens)
        left -= needed
    return CheckBudget(tuple(groups), requests, limit - left, limit)


def _tokens(profile: Profile) -> dict[Group, list[int]]:
    """The most tokens of each group's answers."""
    request = profile.request
    texts = 3 if request.temperature > 0 and request.seed is not None else 2
    of_all: dict[Group, list[int]] = {
        "needle": [NEEDLE_TOKENS] * len(DEPTHS),
        "caching": [SHORT_TOKENS] * (2 * len(DEPTHS)),
        "settings": [TEXT_TOKENS] * (texts * PAIRS) + [FEWEST_TOKENS] * (2 * PAIRS),
        "more_needles": [NEEDLE_TOKENS] * len(MORE_DEPTHS),
    }
    return {group: [min(request.max_tokens, one) for one in tokens] for group, tokens in of_all.items()}


def _before_s(profile: Profile) -> float:
    """About how long a target's probe of the cache takes, and the comparison of its answers."""
    probe = _PROBE_REQUESTS * assumed_answer_s(PROBE_TOKENS)
    return probe + len(stability_points(profile)) * assumed_answer_s(min(STABILITY_TOKENS, profile.request.max_tokens))
