"""Is it an answer? Two judgements of a text's shape, as the benchmark plan for Opta-LMX defines them."""

from collections import Counter

from lmx_loadgen.store.result import Coherence

_NGRAM = 5
_REPETITIVE = 0.3
_GARBLED_OVER = 20


def compute_repetition_ratio(text: str) -> float:
    """Share of repeated word 5-grams: Σ(count − 1 of those seen more than once) ÷ number of 5-grams.

    Words are lower-cased and split at white space; 0.0 under five words.
    """
    words = text.lower().split()
    grams = [tuple(words[start : start + _NGRAM]) for start in range(len(words) - _NGRAM + 1)]
    if not grams:
        return 0.0
    return sum(count - 1 for count in Counter(grams).values() if count > 1) / len(grams)


def classify_coherence(
    output_text: str, completed_naturally: bool, output_token_count: int, num_output_tokens: int
) -> Coherence:
    """`repetitive` (ratio over 0.3), else `truncated` (not natural, and at the limit), else `garbled` (over 20
    characters with neither punctuation nor a space), else `ok`."""
    ratio, garbled = compute_repetition_ratio(output_text), is_garbled(output_text)
    return coherence(ratio, garbled, completed_naturally, output_token_count, num_output_tokens)


def is_garbled(text: str) -> bool:
    """Over 20 characters with neither punctuation nor a space."""
    return len(text) > _GARBLED_OVER and not any(mark in text for mark in ".!?,;: ")


def coherence(
    ratio: float, garbled: bool, completed_naturally: bool, output_token_count: int, num_output_tokens: int
) -> Coherence:
    """The flag of a text that is known by its repetition ratio and by whether it is garbled."""
    if ratio > _REPETITIVE:
        return "repetitive"
    if not completed_naturally and output_token_count >= num_output_tokens:
        return "truncated"
    return "garbled" if garbled else "ok"
