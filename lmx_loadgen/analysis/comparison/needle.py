"""Is the whole prompt read? A code far from the end of a long text, asked of both in the same words."""

from collections.abc import Mapping

from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.chance import ALPHA, shares_p
from lmx_loadgen.analysis.comparison.check_answers import NOT_ASKED, CheckAnswer, Question, answers_to
from lmx_loadgen.analysis.comparison.finding import AuditFinding, decided

_ASKING: tuple[Question, ...] = ("needle", "new_nonce", "same_nonce")


def needle(a: Arm, b: Arm) -> AuditFinding:
    """Failed where one finds codes that the other misses: who skips part of a prompt answers sooner. A model that
    cannot find them on either side shows nothing."""
    answers = answers_to(a, "needle"), answers_to(b, "needle")
    shared = sorted(
        name for name in answers[0] if name in answers[1] and not any(of[name].is_thought for of in answers)
    )
    if not shared:
        return AuditFinding("unknown", NOT_ASKED)
    found = _found(a), _found(b)
    hits = [sum(name in of for name in shared) for of in found]
    n = len(shared)
    words = (f"{hits[0]} of {n} codes found", f"{hits[1]} of {n} codes found")
    if not any(hits):
        return AuditFinding(
            "unknown", words, "neither found the code in a long prompt, so this check says nothing about either"
        )
    less, more = (0, 1) if hits[0] < hits[1] else (1, 0)
    labels = (a.label, b.label)
    return decided(
        hits[0] == hits[1], shares_p(hits[0], n, hits[1], n), ALPHA, words,
        f"{labels[less]} finds {hits[less]} of {n} codes far from the end of a long prompt and {labels[more]} finds "
        f"{hits[more]}: {labels[less]} does not read the whole prompt{_claimed(answers[less], shared)}",
    )  # fmt: skip


def _found(arm: Arm) -> set[str]:
    """The texts whose code was found in any answer: each is asked for again under other nonces, to look for a cache."""
    return {one.name for kind in _ASKING for one in answers_to(arm, kind).values() if one.has_code}


def _claimed(answers: Mapping[str, CheckAnswer], names: list[str]) -> str:
    """What it says it has read."""
    counts = sorted(tokens for name in names if (tokens := answers[name].prompt_tokens) is not None)
    return f", but reports {counts[len(counts) // 2]} prompt tokens" if counts else ""
