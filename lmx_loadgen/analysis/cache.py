"""The probe of the prefix cache: two prompts never sent before, then the second of them again."""

from collections.abc import Sequence
from statistics import fmean

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.store.result import CacheResult
from lmx_loadgen.system.clock import NS

# What a chat template puts before the nonce is the same in every request, and comes from a cache in each: more tokens
# than the system prompt that models come with, and fewer than most prompts have.
TEMPLATE_TOKENS = 48
# A repeat that has half of its prompt from a cache, or comes in under 60 % of the time, had a cache to come from.
_CACHED_SHARE = 0.5
_CACHED_TTFT_RATIO = 0.6
# Of a repeat that comes in somewhat sooner nothing can be told: chance does that, and a cache with a short prompt.
_UNCLEAR_TTFT_RATIO = 0.9


def cache_of(probes: Sequence[Record]) -> CacheResult | None:
    """What a target's probe requests show, in the order they were sent; None when there was no probe."""
    if not probes:
        return None
    waits = [one.ttft_ns / NS if one.ok and one.ttft_ns is not None and one.ttft_ns > 0 else None for one in probes]
    if len(probes) != 3 or None in waits:
        return CacheResult(sentence="whether it has a prefix cache is not known: the probe was not answered in full")
    *cold, repeat = (wait for wait in waits if wait is not None)
    last = probes[-1]
    found = is_cached(cold, repeat, last.usage_cached, last.usage_prompt)
    typical = fmean(cold)
    return CacheResult(
        cold=cold,
        repeat=repeat,
        cached_tokens=last.usage_cached,
        prompt_tokens=last.usage_prompt,
        found=found,
        speedup=typical / repeat if found else None,
        sentence=_sentence(found, typical, repeat),
    )


def is_cached(cold: Sequence[float], repeat: float, cached: int | None, prompt: int | None) -> bool | None:
    """Whether a repeated prompt came from a cache, by its TTFT and those of new prompts, and by the server's own counts
    of its tokens; None where that is unknown."""
    if cached is not None and cached >= _CACHED_SHARE * (prompt or 0) > 0:
        return True
    if repeat < _CACHED_TTFT_RATIO * min(cold):
        return True
    return None if cached is None and repeat < _UNCLEAR_TTFT_RATIO * min(cold) else False


def _sentence(found: bool | None, cold: float, repeat: float) -> str:
    times = f"TTFT {repeat * 1e3:.3g} ms against {cold * 1e3:.3g} ms cold"
    if found is None:
        return f"whether it has a prefix cache cannot be told: a repeated prompt was only a little faster ({times})"
    if not found:
        return f"No prefix cache detected ({times})."
    return f"a prefix cache answers repeated prompts {cold / repeat:.3g} times as fast ({times})"
