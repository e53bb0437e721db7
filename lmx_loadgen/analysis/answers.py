"""What a target's answers look like, level by level, and what its server says of them itself."""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis import text_shape
from lmx_loadgen.analysis.level import basis_of, rules_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import known, median_of
from lmx_loadgen.analysis.tokens import Basis, generated_tokens
from lmx_loadgen.decode.chat import TEXT_KINDS, StreamRules
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.log_reader import LogLine
from lmx_loadgen.store.result import LevelResult, QualityResult, ServerWord, StabilityResult
from lmx_loadgen.system.clock import NS


def with_answers(run: MeasuredRun, target: LogLine, point: LoadPoint) -> LevelResult:
    """A target's level with `quality` and `server_word`."""
    name = str(target["name"])
    answers = where(run.requests(name, point), lambda one: one.measured and one.ok)
    basis = basis_of(target, answers)
    found = quality_of(answers, basis, rules_of(target))
    if found is not None:
        same_prompt = where(run.beside(name, "stability"), lambda one: one.ok)
        found = found.model_copy(update={"stability": _stability(same_prompt, point)})
    word = _server_word(answers, basis, run.profile)
    return run.level(name, point).model_copy(update={"quality": found, "server_word": word})


# ---- quality ----------------------------------------------------------------------------------------


def quality_of(answers: Sequence[Record], basis: Basis, rules: StreamRules) -> QualityResult | None:
    """Every answer judged; None where there is none."""
    if not answers:
        return None
    ends = Counter[bool | None]()
    flags = Counter[str]()
    for answer in answers:
        count = generated_tokens(answer, basis)
        natural = completed_naturally(answer, count, basis, rules)
        ends[natural] += 1
        flags[coherence_of(answer, natural, count)] += 1
    return QualityResult(
        answers=len(answers),
        flags=dict(sorted(flags.items())),  # type: ignore[arg-type]
        natural=ends[True],
        limited=ends[False],
        unknown=ends[None],
    )


def coherence_of(answer: Record, natural: bool | None, count: int | None) -> Any:
    """The plan's flag of one answer. What may have ended by itself is not called truncated."""
    limit = answer.max_tokens or 0
    tokens = count if count is not None else limit
    return text_shape.coherence_of(answer.shape, natural is not False, tokens, limit)


def completed_naturally(answer: Record, count: int | None, basis: Basis, rules: StreamRules) -> bool | None:
    """Whether an answer ended by itself; None where that is unknown.

    Some servers say `stop` also where the limit ended the answer, so the number of tokens has to tell. Text events are
    no tokens, but each holds one at least; with far fewer of them than tokens allowed, the limit was not reached. An
    answer beyond the limit was not ended by it.
    """
    finish, limit = answer.finish_reason, answer.max_tokens or 0
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


def _stability(same_prompt: Sequence[Record], point: LoadPoint) -> StabilityResult | None:
    """Answers to one prompt among others, against the one that was given alone; None also where texts were not kept."""
    alone = next((one.line for one in same_prompt if one.load_point.slots == 1), None)
    concurrent = [one for one in same_prompt if one.load_point == point]
    if alone is None or point.slots == 1 or len(concurrent) < 2:
        return None  # of a single one left nothing can be said of answers at once
    wanted, texts = text_shape.kept_text(alone), [text_shape.kept_text(one.line) for one in concurrent]
    if wanted is None:
        return None
    places = [place for text in known(texts) if (place := _first_difference(wanted, text)) is not None]
    first = min(places, default=None)
    token = None if first is None else _token_at(alone, first)
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
        return f"Answers are identical at concurrency 1 and {answers}."
    return (
        f"{differing} of {answers} answers at concurrency {answers} differ from the answer at concurrency 1, first "
        f"at text event {token}"
    )


# ---- the server's own word --------------------------------------------------------------------------


def _server_word(answers: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> ServerWord | None:
    of = METRICS["decode_tok_s"].of
    assert of is not None
    source, n = None, 0
    prompts, rates, waits, own_rates = array("d"), array("d"), array("d"), array("d")
    for one in answers:
        found = _server_timings(one.server_timings)
        if found is None:
            continue
        source, n = source or found[0], n + 1
        wait = None if one.ttft_ns is None else one.ttft_ns / NS
        for values, value in (
            (prompts, found[1]), (rates, found[2]), (waits, wait), (own_rates, of(one, basis, profile))
        ):  # fmt: skip
            if value is not None:
                values.append(value)
    if source is None:
        return None
    return ServerWord(
        source=source,
        answers=n,
        prompt_sec=median_of(prompts),
        toks_per_sec=median_of(rates),
        client_ttft_sec=median_of(waits),
        client_toks_per_sec=median_of(own_rates),
    )


def _server_timings(timings: Any) -> tuple[str, float | None, float | None] | None:
    """(where it says so, seconds for the prompt, tok/s) of what came with an answer; None where there is neither.

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
