"""When text comes against when it was made: words that are sent ahead of the real wait, and text that is held back."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from lmx_loadgen.analysis.comparison.blocks import figures_of
from lmx_loadgen.analysis.comparison.chance import at_least_p, sooner_p
from lmx_loadgen.analysis.comparison.check_answers import answers_to, is_alone, least_gap_s
from lmx_loadgen.analysis.comparison.finding import At
from lmx_loadgen.analysis.formats import milliseconds
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.system.clock import NS

# A pause within the first reads, so many times as long as those that follow, that the text before it came so early.
_FIRST_READS, _FEWEST_READS = 8, 6
_PAUSE, _EARLY = 5.0, 0.8
# Reads that are closer than this share of the mean are of one step: a server may make several tokens in it.
_OF_ONE_STEP = 0.25
_BY_ACCIDENT = 0.1
# Text that was held back: longer answers begin later, and then come so much faster than they were made.
_HELD_RATIO, _HELD_SPEED, _FEWEST_ANSWERS = 1.5, 0.5, 3
_MOST_LOOKED_AT = 40
BY_FIRST_TEXT = figures_of("ttft", "decode_tok_s", "longest_stall")
_BY_GAPS = figures_of("decode_tok_s", "longest_stall")


@dataclass(frozen=True, slots=True)
class TextFault:
    """What is wrong with how a side's text comes; `p` is how often chance does that."""

    words: str
    sentence: str
    metrics: tuple[str, ...]
    p: float


def early_text(at: At, place: int) -> TextFault | None:
    """A few words at once, and the real wait after them. Only requests that had the server for themselves are looked
    at: others pause while a prompt is read."""
    answers = _alone(at, place)
    least_s = least_gap_s(at, place)
    early = [pause for reads in answers if (pause := _pause(reads, least_s)) is not None]
    if not answers or 2 * len(early) <= len(answers):
        return None
    shown, real = (median(one[part] for one in early) for part in (0, 1))
    return TextFault(
        f"{len(early)} of {len(answers)} pause after the first words",
        f"{at.labels[place]} sends its first text after {milliseconds(shown)} ms, then pauses, and goes on after "
        f"{milliseconds(real)} ms, in {len(early)} of {len(answers)} answers: its TTFT is not of the model's text",
        BY_FIRST_TEXT,
        at_least_p(len(early), len(answers), _BY_ACCIDENT),
    )


def _alone(at: At, place: int) -> list[Sequence[float]]:
    """The times of the reads of each answer to a request that was alone, in seconds since it was sent."""
    checked = answers_to((at.a, at.b)[place], "settings").values()
    found: list[Sequence[float]] = [one.reads_s for one in checked]
    if is_alone(at):
        found += [_reads_s(one) for one in at.answers[place][:_MOST_LOOKED_AT]]
    return [reads for reads in found if len(reads) >= _FEWEST_READS]


def _reads_s(one: Record) -> list[float]:
    return [(at_ns - (one.send_ns or 0)) / NS for at_ns in one.reads.at_ns]


def _pause(reads: Sequence[float], least_s: float) -> tuple[float, float] | None:
    """When the first text came and when the text went on, where there is such a pause between."""
    gaps = [late - early for early, late in pairwise(reads)]
    at = max(range(min(_FIRST_READS, len(gaps) - 2)), key=lambda place: gaps[place])
    later = gaps[at + 1 :]
    least_step = _OF_ONE_STEP * fmean(later)
    usual = median([gap for gap in later if gap >= least_step])
    is_pause = gaps[at] >= max(_PAUSE * usual, least_s) and reads[0] < _EARLY * reads[at + 1]
    return (reads[0], reads[at + 1]) if is_pause else None


def held_back(at: At, place: int) -> TextFault | None:
    """Answers of more tokens that begin so much later, and whose text comes faster than that: it waited to be sent."""
    answers = answers_to((at.a, at.b)[place], "settings")
    short = [one for name, one in answers.items() if name.startswith("short-")]
    long = [one for name, one in answers.items() if not name.startswith("short-")]
    if min(len(short), len(long)) < _FEWEST_ANSWERS:
        return None
    waits = median(one.ttft_s for one in short), median(one.ttft_s for one in long)
    tokens = [median(one.tokens or one.fewest_tokens for one in of) for of in (short, long)]
    later, more = waits[1] - waits[0], tokens[1] - tokens[0]
    if later < least_gap_s(at, place) or waits[1] < _HELD_RATIO * waits[0] or more <= 0:
        return None
    # Seconds a token: as the wait says it was made, and as it came, there and under load: an answer may be so short
    # that all of it fits into one of its server's chunks.
    made = later / more
    came = median(_seconds_a_token(one.reads_s, one.tokens or one.fewest_tokens) for one in long)
    loaded = [
        _seconds_a_token(_reads_s(one), one.usage_output or one.fewest_tokens)
        for one in at.first_answers[place]
        if one.read_count
    ]
    if max(came, median(loaded or [0.0])) > _HELD_SPEED * made:
        return None
    label = at.labels[place]
    return TextFault(
        "held back",
        f"{label} begins an answer of {tokens[0]:.0f} tokens after {milliseconds(waits[0])} ms and one of "
        f"{tokens[1]:.0f} after {milliseconds(waits[1])} ms, and then pours it out: its text is held back, and its "
        "decode rate is that of the wire",
        _BY_GAPS,
        sooner_p([one.ttft_s for one in short], [one.ttft_s for one in long]),
    )


def _seconds_a_token(reads_s: Sequence[float], tokens: int) -> float:
    return (reads_s[-1] - reads_s[0]) / max(1, tokens - 1)
