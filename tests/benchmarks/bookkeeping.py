"""How long the tool's own bookkeeping takes for a run of the benchmark plan, generation apart.

    python -m tests.benchmarks.bookkeeping

Five answers of 200 tokens, a warm-up and a tool call: read the bytes of each answer, append it to the event log, read
the log again, sum it up, and store the result in both shapes. The plan allows 50 ms.
"""

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.decode.chat import RawAnswer, StreamRules, read_answer
from lmx_loadgen.session.checks.tool_call import WEATHER
from lmx_loadgen.store.eventlog import EventLog
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.store.result import write_result
from tests.helpers.made_lines import header_line, request_line, segment_line

RUNS = 30
WORDS = ["A", "transformer", "reads", "all", "the", "words", "of", "a", "text", "at", "once."]
CHUNK = 'data: {{"id":"c","model":"m","choices":[{{"index":0,"delta":{{"content":"{} "}},"finish_reason":{}}}]}}\n\n'
STEPS = ("read the answers", "write the log", "read the log", "sum it up", "store the result")


def answer(tokens: int = 200) -> RawAnswer:
    """A streamed answer as the wire leaves it, a token an event and an event a read."""
    pieces = [CHUNK.format(f"{WORDS[n % len(WORDS)]}{n}", "null").encode() for n in range(tokens)]
    pieces[-1] = CHUNK.format("end.", '"stop"').encode() + b"data: [DONE]\n\n"
    arrivals = [(100_000_000 + 20_000_000 * n, len(piece)) for n, piece in enumerate(pieces)]
    return RawAnswer(200, [("content-type", "text/event-stream")], b"".join(pieces), arrivals)


def tool_call() -> dict[str, Any]:
    calls = [{"name": "get_weather", "arguments": '{"location": "Sydney"}'}]
    asked = {"prompt": WEATHER.prompt, "expect": WEATHER.expect, "tools": WEATHER.tools}
    line = {"type": "check", "at_ns": 1, "target": "box", "check": "tool_call", "asked": asked, "error": None}
    return line | {"answer": {"content": "", "tool_calls": calls, "finish_reason": "tool_calls"}, "latency_ns": 5}


def one_run(folder: Path) -> list[float]:
    """Seconds of each step."""
    folder.mkdir()
    raw, marks = [answer() for _ in range(6)], [time.perf_counter()]
    read = [read_answer(one, "chat", StreamRules()) for one in raw]
    marks.append(time.perf_counter())
    log = EventLog.create(folder / "events.jsonl")
    log.append(header_line())
    for number, one in enumerate(read):
        line = request_line([], id=number, phase="measured" if number else "warmup", max_tokens=201)
        log.append(line | {"events": [list(event) for event in one.events], "arrivals": one.arrivals, "end_ns": 10**10})
    log.append(segment_line(0, 9_000, 10_000))
    log.append(tool_call())
    log.append({"type": "end", "end_ns": 10**10, "complete": True, "reason": None})
    log.close()
    marks.append(time.perf_counter())
    contents = read_log(folder / "events.jsonl")
    marks.append(time.perf_counter())
    result = summarize(MeasuredRun(contents))
    marks.append(time.perf_counter())
    write_result(folder, result)
    benchmark = result.targets[0].benchmark
    assert benchmark is not None
    assert benchmark.status == "ok"
    assert contents.notes == []
    BenchmarkResultStore(folder / "plan").save(benchmark)
    marks.append(time.perf_counter())
    return [after - before for before, after in pairwise(marks)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        taken = [one_run(Path(folder) / str(number)) for number in range(RUNS + 1)][1:]  # the first one imports
    for step, times in zip(STEPS, zip(*taken, strict=True), strict=True):
        print(f"{step:20} {median(times) * 1e3:7.2f} ms")
    totals = sorted(map(sum, taken))
    print(f"{'in all':20} {median(totals) * 1e3:7.2f} ms ({totals[0] * 1e3:.2f} to {totals[-1] * 1e3:.2f})")


if __name__ == "__main__":
    main()
