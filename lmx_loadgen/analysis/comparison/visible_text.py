"""Is text shown when it is made? Not before, as a sign or a phrase that the model did not write yet, and not held back
to be poured out at once."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from lmx_loadgen.analysis.comparison.chance import shares_p
from lmx_loadgen.analysis.comparison.finding import At, AuditFinding
from lmx_loadgen.analysis.comparison.text_timing import BY_FIRST_TEXT, TextFault, early_text, held_back
from lmx_loadgen.analysis.comparison.visible_characters import is_visible
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis, output_tokens
from lmx_loadgen.decode.chat import TEXT_KINDS

# A share of answers that begin so, and of the wait by which their first text came too soon.
_MAX_SHARE = 0.05
_MAX_LEAD = 0.05
_MANY_TOKENS = 2.0


def visible_text(at: At, alpha: float) -> AuditFinding:
    """Failed where the first text is none that the model wrote, or where text is held back and then poured out. White
    space before the text is no first token, and only a note."""
    faults = [_fault(at, place) for place in (0, 1)]
    observed = tuple(fault.words if fault is not None else "as it is made" for fault in faults)
    words = observed[0], observed[1]
    found = min((fault for fault in faults if fault is not None), key=lambda fault: fault.p, default=None)
    if found is None:
        return AuditFinding("passed", words, "; ".join([*_white_notes(at), *_event_note(at)]))
    if found.p > alpha:
        return AuditFinding("unknown", words, f"{found.sentence} (chance explains it: p = {found.p:.2g})")
    return AuditFinding("failed", words, found.sentence, found.metrics)


def _fault(at: At, place: int) -> TextFault | None:
    return _unseen_first(at, place) or early_text(at, place) or held_back(at, place)


def _unseen_first(at: At, place: int) -> TextFault | None:
    """Characters without any trace that come ahead of the text."""
    leads = [[lead for one in answers if (lead := _lead(one.line)) is not None] for answers in at.first_answers]
    hits = [sum(lead > _MAX_LEAD for lead in of_side) for of_side in leads]
    n = [len(of_side) for of_side in leads]
    if not n[place] or hits[place] <= _MAX_SHARE * n[place]:
        return None
    other = 1 - place
    p = shares_p(hits[place], n[place], hits[other], n[other]) if hits[other] == 0 else 0.0
    share, ahead = percent(hits[place] / n[place]), percent(median(leads[place]))
    label = at.labels[place]
    return TextFault(
        f"{share} begin with unseen characters",
        f"{share} of {label}'s answers begin with characters that nobody sees, by {ahead} of the wait before the first "
        "visible text: its TTFT is that of invisible text",
        BY_FIRST_TEXT, p,
    )  # fmt: skip


def _lead(line: Mapping[str, Any]) -> float | None:
    """By how much of the wait for the first visible text other characters, white space apart, came sooner."""
    first = None
    for index, kind, text in line["events"]:
        if kind not in TEXT_KINDS or index >= len(line["arrivals"]) or not text.strip():
            continue
        at_ns = line["arrivals"][index][0]
        first = at_ns if first is None else first
        if any(map(is_visible, text)):
            return (at_ns - first) / at_ns if at_ns > 0 else None
    return None


def _white_notes(at: At) -> list[str]:
    notes = []
    for label, answers in zip(at.labels, at.answers, strict=True):
        white = sum("leading_white_space" in one.notes for one in answers)
        if answers and white > _MAX_SHARE * len(answers):
            notes.append(
                f"{percent(white / len(answers))} of {label}'s answers begin with white space: TTFT is to the first "
                "visible text"
            )
    return notes


def _event_note(at: At) -> list[str]:
    """Where one side puts several tokens into an event and the other does not."""
    sizes = [_tokens_an_event(answers) for answers in at.answers]
    if sizes[0] is None or sizes[1] is None or max(sizes[0], sizes[1]) < _MANY_TOKENS * min(sizes[0], sizes[1]):
        return []
    more, less = (0, 1) if sizes[0] > sizes[1] else (1, 0)
    return [
        f"{at.labels[more]} sends about {sizes[more]:.2g} tokens at a time and {at.labels[less]} {sizes[less]:.2g}: "
        "stalls are between events, not tokens"
    ]


def _tokens_an_event(answers: Sequence[Record]) -> float | None:
    counts = [
        tokens / one.fewest_tokens
        for one in answers
        if one.fewest_tokens and (tokens := output_tokens(one, Basis("usage", True, False)))
    ]
    return median(counts) if counts else None
