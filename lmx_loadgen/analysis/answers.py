"""What a target's answers look like, level by level, and what its server says of them itself."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis.level import basis_of, rules_of
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.quality import classify_coherence
from lmx_loadgen.analysis.records import Record, answer_text, records
from lmx_loadgen.analysis.stats import known, median_of
from lmx_loadgen.analysis.tokens import Basis, generated_tokens
from lmx_loadgen.decode.chat import TEXT_KINDS, StreamRules
from lmx_loadgen.store.eventlog import LogLine
from lmx_loadgen.store.result import LevelResult, QualityResult, ServerWord, StabilityResult
from lmx_loadgen.system.clock import NS


def with_answers(
    levels: Sequence[LevelResult], lines: Sequence[dict[str, Any]], target: LogLine, profile: LogLine
) -> list[LevelResult]:
    """The levels with `quality` and `server_word`, out of all of the target's request lines."""
    stability_lines = [line for line in lines if line["phase"] == "stability" and line["outcome"] == "ok"]
    done = []
    for level in levels:
        good = [line for line in lines if line["level"] == level.level and _is_answer(line)]
        answers = records(good)
        basis = basis_of(target, answers)
        found = quality_of(good, answers, basis, rules_of(target))
        if found is not None:
            found = found.model_copy(update={"stability": _stability(stability_lines, level.concurrency)})
        word = _server_word(good, answers, basis, profile)
        done.append(level.model_copy(update={"quality": found, "server_word": word}))
    return done


def _is_answer(line: LogLine) -> bool:
    return bool(line["phase"] == "measured" and line["outcome"] == "ok")


# ---- quality ----------------------------------------------------------------------------------------


def quality_of(
    good: Sequence[dict[str, Any]], answers: Sequence[Record], basis: Basis, rules: StreamRules
) -> QualityResult | None:
    """Every answer judged, out of its line and its record; None where there is none."""
    if not good:
        return None
    ends = Counter[bool | None]()
    flags = Counter[str]()
    for line, answer in zip(good, answers, strict=True):
        count = generated_tokens(answer, basis)
        natural = completed_naturally(line, count, basis, rules)
        ends[natural] += 1
        flags[coherence_of(line, natural, count)] += 1
    return QualityResult(
        answers=len(good),
        flags=dict(sorted(flags.items())),  # type: ignore[arg-type]
        natural=ends[True],
        limited=ends[False],
        unknown=ends[None],
    )


def coherence_of(line: LogLine, natural: bool | None, count: int | None) -> Any:
    """The plan's flag of one answer. What may have ended by itself is not called truncated."""
    limit = line["max_tokens"] or 0
    return classify_coherence(answer_text(line), natural is not False, count if count is not None else limit, limit)


def completed_naturally(line: LogLine, count: int | None, basis: Basis, rules: StreamRules) -> bool | None:
    """Whether an answer ended by itself; None where that cannot be told.

    Some servers say `stop` also where the limit ended the answer, so the number of tokens has to tell. Text events are
    no tokens, but each holds one at least; with far fewer of them than tokens allowed, the limit was not reached. An
    answer beyond the limit was not ended by it.
    """
    finish, limit = line["finish_reason"], line["max_tokens"] or 0
    if finish == "length":
        return False
    says_how = rules.finish_reason_exact and finish is not None
    if count is None or not limit:
        return None
    if count > limit:  # a tokenizer of ours may count a few more than the server did
        return basis.kind != "tokenizer" or says_how
    if basis.exact or count == limit:
        return count < limit
    return True if says_how or count < limit // 2 else None


def _stability(stability_lines: Sequence[LogLine], concurrency: int) -> StabilityResult | None:
    """Answers to one prompt among others, against the one that was given alone."""
    reference = next((line for line in stability_lines if line["concurrency"] == 1), None)
    concurrent = [line for line in stability_lines if line["concurrency"] == concurrency]
    if reference is None or concurrency == 1 or len(concurrent) < 2:
        return None  # of a single one left nothing can be said of answers at once
    wanted = answer_text(reference)
    places = [place for line in concurrent if (place := _first_difference(wanted, answer_text(line))) is not None]
    first = min(places, default=None)
    token = None if first is None else _token_at(reference, first)
    return StabilityResult(
        answers=len(concurrent),
        same=len(concurrent) - len(places),
        first_differing_character=first,
        first_differing_token=token,
        sentence=_stability_sentence(len(concurrent), len(places), token),
    )


def _first_difference(one: str, other: str) -> int | None:
    """The place, counted from 1, of the first character that is not the same; None where the texts are."""
    if one == other:
        return None
    shared = (place for place, (a, b) in enumerate(zip(one, other, strict=False), 1) if a != b)
    return next(shared, min(len(one), len(other)) + 1)


def _token_at(line: LogLine, character: int) -> int | None:
    """Which text event of an answer, counted from 1, brought its `character`th one."""
    reached = number = 0
    for _, kind, text in line["events"]:
        if kind in TEXT_KINDS:
            number += 1
            reached += len(text)
            if reached >= character:
                return number
    return number + 1


def _stability_sentence(answers: int, differing: int, token: int | None) -> str:
    if not differing:
        return f"the same prompt, asked {answers} times at once, got word for word the answer it got alone"
    return (
        f"{differing} of {answers} answers to the same prompt, asked at once, differ from the one it got alone, first "
        f"at text event {token}"
    )


# ---- the server's own word --------------------------------------------------------------------------


def _server_word(
    good: Sequence[LogLine], answers: Sequence[Record], basis: Basis, profile: LogLine
) -> ServerWord | None:
    pairs = zip(good, answers, strict=True)
    with_timings = [
        (one, found) for line, one in pairs if (found := _server_timings(line.get("server_timings"))) is not None
    ]
    if not with_timings:
        return None
    seen = [one for one, _ in with_timings]
    ttft = [(one.first_text_ns - one.send_ns) / NS for one in seen if one.first_text_ns and one.send_ns]
    of = METRICS["decode_tok_s"].of
    assert of is not None
    return ServerWord(
        source=with_timings[0][1][0],
        answers=len(with_timings),
        prompt_sec=median_of([prompt for _, (_, prompt, _) in with_timings]),
        toks_per_sec=median_of([rate for _, (_, _, rate) in with_timings]),
        client_ttft_sec=median_of(ttft),
        client_toks_per_sec=median_of([of(one, basis, profile) for one in seen]),
    )


def _server_timings(timings: Any) -> tuple[str, float | None, float | None] | None:
    """(where it says so, seconds for the prompt, tok/s) of what came with an answer; None where nothing is told.

    A rate over a single token is none: its time is that of nothing.
    """
    if not isinstance(timings, Mapping):
        return None
    if "eval_duration" in timings:
        ns = _number(timings, "eval_duration")
        rate = _rate(_number(timings, "eval_count"), None if ns is None else ns / NS)
        parts = [_number(timings, "load_duration"), _number(timings, "prompt_eval_duration")]
        durations = known(parts)
        return "Ollama's eval_duration and prompt_eval_duration", sum(durations) / NS if durations else None, rate
    if "predicted_ms" in timings or "predicted_per_second" in timings:
        prompt = _number(timings, "prompt_ms")
        return "llama.cpp's timings", None if prompt is None else prompt / 1e3, _llama_rate(timings)
    if "tokens_per_second" in timings:
        return "LM Studio's stats", _number(timings, "time_to_first_token"), _number(timings, "tokens_per_second")
    return None


def _llama_rate(timings: Mapping[str, Any]) -> float | None:
    """Its own rate where it gives one; else n − 1 tokens of n, since its time begins with the first."""
    tokens, stated, ms = (_number(timings, f"predicted_{key}") for key in ("n", "per_second", "ms"))
    if tokens is not None and tokens < 2:
        return None
    return stated or ((tokens - 1) * 1e3 / ms if tokens is not None and ms else None)


def _number(timings: Mapping[str, Any], key: str) -> float | None:
    value = timings.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


def _rate(tokens: float | None, seconds: float | None) -> float | None:
    return tokens / seconds if tokens is not None and tokens >= 2 and seconds else None
