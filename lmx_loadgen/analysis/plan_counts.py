"""The plan's result of a run with counts of tokens that are counts of tokens, or none.

Where neither the streamed usage nor a tokenizer counted them, one answer may have been asked for again in one piece
(`session.checks.token_count`). Its count is exact for that answer; what it says of an event, or of a character where
the answer came out otherwise, counts the others. Without it there is no figure in tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmx_loadgen.analysis.level import basis_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.records import answer_text, record, records
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.decode.usage import usage_counts
from lmx_loadgen.store.eventlog import LogContents
from lmx_loadgen.store.result import BenchmarkResult, BenchmarkRunStats

_OF_TOKENS = (
    *("toks_per_sec_p50", "toks_per_sec_p95", "toks_per_sec_mean"),
    *("output_tokens", "output_token_count"),
)


@dataclass(frozen=True, slots=True)
class UnstreamedCount:
    """What an answer in one piece said: tokens of its prompt, and how many are in an event and in a character."""

    prompt: int
    per_event: float | None
    per_character: float

    def of(self, line: dict[str, Any]) -> dict[str, int]:
        """The tokens of a measured request."""
        if self.per_event is not None:
            output = self.per_event * record(line).text_events
        else:
            output = self.per_character * len(answer_text(line))
        return {"prompt": self.prompt, "output": min(round(output), line["max_tokens"] or round(output))}


def plan_result(log: LogContents) -> BenchmarkResult | None:
    """The plan's result of a run's first target; None where nothing was measured."""
    target = log.header["targets"][0]
    answers = [line for line in log.requests if _is_answer(line, target["name"])]
    basis = basis_of(target, records(answers))
    counted = None if basis.exact else unstreamed_count(log, target["name"])
    if counted is not None:
        requests = [_with_counts(line, counted) if _is_answer(line, target["name"]) else line for line in log.requests]
        log = replace(log, requests=requests)
    found = summarize(MeasuredRun(log)).targets[0].benchmark
    if found is None or found.stats is None or not answers:
        return found
    if counted is not None:
        return _with(found, found.stats, token_counts="unstreamed")
    if basis.exact:
        return _with(found, found.stats, token_counts="tokenizer" if basis.kind == "tokenizer" else "usage")
    return _with(found, found.stats, token_counts="unknown", **dict.fromkeys(_OF_TOKENS))


def _with_counts(line: dict[str, Any], counted: UnstreamedCount) -> dict[str, Any]:
    return {**line, "tokenizer_tokens": counted.of(line)}


def _with(result: BenchmarkResult, stats: BenchmarkRunStats, **changed: Any) -> BenchmarkResult:
    return result.model_copy(update={"stats": stats.model_copy(update=changed)})


def _is_answer(line: Mapping[str, Any], target: str) -> bool:
    return bool(line["target"] == target and line["phase"] == "measured" and line["outcome"] == "ok")


def unstreamed_count(log: LogContents, target: str) -> UnstreamedCount | None:
    """What the answer in one piece counted, where that is a count of tokens; None where it is not, or there is none."""
    checks = [line for line in log.checks if line["check"] == "token_count" and line["target"] == target]
    answers = [line for line in log.requests if _is_answer(line, target)]
    for check in checks:
        same_prompt = [line for line in answers if line["nonce"] == check["asked"].get("nonce")]
        if isinstance(check["answer"], Mapping) and same_prompt:
            return _count(check["answer"], same_prompt)
    return None


def _count(whole: Mapping[str, Any], streamed: Sequence[dict[str, Any]]) -> UnstreamedCount | None:
    line = streamed[0]
    text, (prompt, output, _) = str(whole.get("text") or ""), usage_counts(whole.get("usage"))
    if prompt is None or not output or not text.strip():
        return None
    is_at_limit = whole.get("finish_reason") == "length" and output == line["max_tokens"]
    if output == len(text.split()) and not is_at_limit:
        return None  # words: Opta-LMX's plain mlx-lm backend counts those
    answer = record(line)
    is_same = text.strip() == answer_text(line).strip()
    if is_same and output < answer.fewest_tokens:
        return None  # an event holds one token at least
    return UnstreamedCount(prompt, output / answer.text_events if is_same else None, output / len(text))
