"""What came of the checks: `check` lines of an event log as the models of a result."""

from collections.abc import Iterable, Sequence

from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.analysis.tool_calls import judge
from lmx_loadgen.store.log_reader import LogLine
from lmx_loadgen.store.result import BenchmarkResult, SkillsBenchmark, ToolCallBenchmark

_PREVIEW = 200


def tool_calls_of(checks: Sequence[LogLine]) -> list[ToolCallBenchmark]:
    """Every tool call that was asked for, judged."""
    return [_tool_call(line) for line in _of(checks, "tool_call")]


def _tool_call(line: LogLine) -> ToolCallBenchmark:
    """A call whose words were not kept was judged before."""
    asked, answer = line["asked"], line["answer"]
    if answer is not None and "judged" in answer:
        return ToolCallBenchmark.model_validate(answer["judged"])
    return judge(asked, answer, line["error"], line["latency_ns"])


def skills_of(checks: Sequence[LogLine]) -> list[SkillsBenchmark]:
    """Every skill that was asked for."""
    return [_skill(line) for line in _of(checks, "skill")]


def server_benchmarks_of(checks: Sequence[LogLine]) -> tuple[list[BenchmarkResult], list[str]]:
    """What the server measured of itself, newest first, and a sentence for each thing that kept it from it."""
    results: list[BenchmarkResult] = []
    notes: list[str] = []
    for line in _of(checks, "server_benchmark"):
        if line["error"] is not None:
            notes.append(f"the server's own benchmark: {line['error']}")
        answer = line["answer"] or {}
        earlier = answer.get("earlier")
        newest_first = [answer.get("result"), *(reversed(earlier) if isinstance(earlier, list) else [])]
        taken = results_in(known(newest_first)) if answer else None
        if taken is not None:
            results += taken.results
            notes += [f"a result of the server's own benchmark cannot be read: {fault}" for fault in taken.faults]
    return results, list(dict.fromkeys(notes))


def _of(checks: Sequence[LogLine], kind: str) -> Iterable[LogLine]:
    return (line for line in checks if line["check"] == kind)


def _skill(line: LogLine) -> SkillsBenchmark:
    output = (line["answer"] or {}).get("output")
    latency = line["latency_ns"]
    return SkillsBenchmark(
        skill_name=str(line["asked"].get("skill", "")),
        skill_invoked_successfully=line["error"] is None,
        skill_result_preview=str(output)[:_PREVIEW] if output is not None else None,
        skill_latency_sec=None if latency is None else latency / 1e9,
        error=line["error"],
    )
