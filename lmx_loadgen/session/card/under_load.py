"""What shows with more than one small request: the prefix cache, prompts that are too long, requests at once."""

from collections.abc import Sequence
from statistics import fmean, median

from lmx_loadgen.analysis.cache import is_cached
from lmx_loadgen.session.card.ask import CardReply, shown
from lmx_loadgen.store.cards import AtOnceFacts, CacheFacts, LongPromptFacts
from lmx_loadgen.system.clock import NS

# Answers that come faster than this may not have overlapped although they were made at the same time.
_SHORTEST_S = 0.002
# A prompt of so many more words than its context has tokens is surely too long.
BEYOND = 1.1
MOST_CONTEXT = 33_000


def cache_facts(cold: Sequence[CardReply], repeat: CardReply) -> CacheFacts:
    """Of prompts that were never sent before, and the last of them again."""
    waits = [reply.text_times[0] if reply.ok and reply.texts else None for reply in (*cold, repeat)]
    known = [wait for wait in waits if wait is not None]
    if len(known) != len(waits):
        return CacheFacts()
    prompt, _, cached = repeat.usage
    return CacheFacts(
        found=is_cached(known[:-1], known[-1], cached, prompt),
        cold_sec=fmean(known[:-1]),
        repeat_sec=known[-1],
        cached_tokens=cached,
        prompt_tokens=prompt,
    )


def long_prompt_facts(reply: CardReply, context: int, words: int) -> LongPromptFacts:
    """Of a prompt of so many `words`, more than the server's `context` has tokens."""
    prompt = reply.usage[0]
    if not reply.ok:
        is_refusal = reply.status is not None
        status = "refused" if is_refusal else "unknown"
        return LongPromptFacts(status=status, context=context, words=shown(reply.refusal))  # type: ignore[arg-type]
    if prompt is None:
        return LongPromptFacts(status="unknown", context=context, words="it does not count the prompt's tokens")
    if prompt < words:
        return LongPromptFacts(status="cut", context=context, words=f"{prompt} of over {words} tokens were read")
    return LongPromptFacts(status="served", context=context, words=f"{prompt} tokens were read")


def at_once_facts(replies: Sequence[CardReply]) -> AtOnceFacts:
    """Of requests that were sent at the same moment: how many answers were coming in at once."""
    answered = [reply for reply in replies if reply.ok and reply.texts]
    failed = [reply for reply in replies if not reply.ok]
    words = shown(failed[0].refusal) if failed else None
    spans = [_span(reply) for reply in answered]
    if not spans:
        return AtOnceFacts(sent=len(replies), refused=len(failed), words=words)
    if median(end - start for start, end in spans) < _SHORTEST_S:
        words = words or "answers come too fast to see whether they overlap"
        return AtOnceFacts(sent=len(replies), refused=len(failed), words=words)
    return AtOnceFacts(sent=len(replies), served=_most_at_once(spans), refused=len(failed), words=words)


def _span(reply: CardReply) -> tuple[float, float]:
    times, start = reply.text_times, reply.send_ns / NS
    return start + times[0], start + times[-1]


def _most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """An end comes before a start of the same moment: a slot that is handed on is one."""
    marks = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running = most = 0
    for _, change in marks:
        running += change
        most = max(most, running)
    return most
