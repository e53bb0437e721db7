"""The plan's result of a run with counts of tokens that are counts of tokens, or none.

Where neither the streamed usage nor a tokenizer counted them, one answer may have been asked for again in one piece
(`session.checks.token_count`). Its count is exact for that answer; what it says of an event, or of a character where
the answer came out otherwise, counts the others. Without it there is no figure in tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.analysis.level import basis_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.read_records import counted
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.analysis.text_events import answer_text
from lmx_loadgen.decode.usage import usage_counts
from lmx_loadgen.store.log_reader import LogContents
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

    def counted(self, answer: Record) -> Record:
        """The answer with its tokens."""
        if self.per_event is not None:
            output = round(self.per_event * answer.text_events)
        else:
            output = round(self.per_character * len(answer_text(answer.line)))
        output = min(output, answer.max_tokens or output)
        return counted(answer, self.prompt, output)


def plan_result(log: LogContents) -> BenchmarkResult | None:
    """The plan's result of a run's first target; None where nothing was measured."""
    run, target = MeasuredRun(log), log.header["targets"][0]
    answers = [one for one in run.records if _is_answer(one, target["name"])]
    basis = basis_of(target, answers)
    unstreamed = None if basis.exact else _unstreamed_count(run, target["name"], answers)
    if unstreamed is not None:
        of_target = {one.id for one in answers}
        run = MeasuredRun(log, [unstreamed.counted(one) if one.id in of_target else one for one in run.records])
    found = summarize(run).targets[0].benchmark
    if found is None or found.stats is None or not answers:
        return found
    if unstreamed is not None:
        return _with(found, found.stats, token_counts="unstreamed")
    if basis.exact:
        return _with(found, found.stats, token_counts="tokenizer" if basis.kind == "tokenizer" else "usage")
    return _with(found, found.stats, token_counts="unknown", **dict.fromkeys(_OF_TOKENS))


def _with(result: BenchmarkResult, stats: BenchmarkRunStats, **changed: Any) -> BenchmarkResult:
    return result.model_copy(update={"stats": stats.model_copy(update=changed)})


def _is_answer(one: Record, target: str) -> bool:
    return one.target == target and one.measured and one.ok


def _unstreamed_count(run: MeasuredRun, target: str, answers: Sequence[Record]) -> UnstreamedCount | None:
    """What the answer in one piece counted, where that is a count of tokens; None where it is not, or there is none."""
    checks = [line for line in run.checks(target) if line["check"] == "token_count"]
    for check in checks:
        same_prompt = [one for one in answers if one.line["nonce"] == check["asked"].get("nonce")]
        if isinstance(check["answer"], Mapping) and same_prompt:
            return _count(check["answer"], same_prompt[0])
    return None


def _count(whole: Mapping[str, Any], streamed: Record) -> UnstreamedCount | None:
    text, (prompt, output, _) = str(whole.get("text") or ""), usage_counts(whole.get("usage"))
    if prompt is None or not output or not text.strip():
        return None
    is_at_limit = whole.get("finish_reason") == "length" and output == streamed.max_tokens
    if output == len(text.split()) and not is_at_limit:
        return None  # words: Opta-LMX's plain mlx-lm backend counts those
    is_same = text.strip() == answer_text(streamed.line).strip()
    if is_same and output < streamed.fewest_tokens:
        return None  # an event holds one token at least
    return UnstreamedCount(prompt, output / streamed.text_events if is_same else None, output / len(text))
