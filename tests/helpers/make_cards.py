"""Sample runs with everything a report card shows: what was expected, checks, quality, the server's own word.

Made on the made-up clock of `make_runs`; what only a server could have said is put into the results afterwards.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.report.run_loader import view_of
from lmx_loadgen.store.reference import PublishedFigure
from lmx_loadgen.store.result import (
    BenchmarkResult,
    BenchmarkRunStats,
    Hypothesis,
    LevelResult,
    QualityResult,
    RunResult,
    ServerWord,
    SkillsBenchmark,
    StabilityResult,
    TargetResult,
    ToolCallBenchmark,
)
from tests.helpers.make_runs import HOSTILE, LMX, NS, OLLAMA, Bench, Server, event_log, write_log

LLAMA = "mlx-community/Llama-3.1-8B-Instruct-4bit"
LM_STUDIO = Server("lmstudio", "lmstudio", "qwen2.5-7b-instruct@4bit", "LM Studio", 0.205, 0.0138, 0.04, 0.003)
LLAMA_CPP = Server(
    "llamacpp", "llamacpp", "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "llama-server", 0.26, 0.0168, 0.06, 0.004
)
BALANCED_OLLAMA = replace(OLLAMA, fail_share={})

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}
ASKED = "What's the weather in Sydney right now?"
DAY = 86_400


def views(folder: Path, *names: str) -> list[RunView]:
    """The named runs as the page looks at them; their logs are written under `folder` on the way."""
    return [_view(folder / name, *RUNS[name]) for name in names]


def _view(folder: Path, make: Callable[[], list[dict[str, Any]]], fill: Callable[[RunResult], None]) -> RunView:
    write_log(folder, make())
    run = read_run(folder / "events.jsonl")
    result = summarize(run)
    fill(result)
    return view_of(RunResult.model_validate(result.model_dump(by_alias=True)), run)


# ---- logs --------------------------------------------------------------------------------------------


def _run(
    servers: list[Server], seed: int, run_id: str, day: int, levels: tuple[tuple[int, int], ...]
) -> list[dict[str, Any]]:
    """Blocks in turn on an M3 Ultra, `day` days after the first."""
    bench = Bench(seed)
    blocks = 4 if len(servers) > 1 else 1
    for concurrency, requests in levels:
        for block in range(blocks):
            for server in servers if block % 2 else servers[::-1]:
                bench.level(server, concurrency, requests, block=block)
    log = event_log(bench, servers, run_id)
    log[0]["host"] = {"chip": "Apple M3 Ultra", "memory_gb": 256, "os": "macOS 15.1"}
    log[0]["clock"]["unix_ns"] += day * DAY * NS
    log[0]["started_at"] = f"2026-11-{20 + day}T09:41:07.512Z"
    return log


def one_run() -> list[dict[str, Any]]:
    return _run([LMX], 21, "0ne00001", 3, ((1, 5), (4, 12)))


def first_of_three() -> list[dict[str, Any]]:
    return _run([replace(LMX, step=0.0131), BALANCED_OLLAMA], 22, "7hree001", 0, ((1, 5), (4, 12)))


def second_of_three() -> list[dict[str, Any]]:
    return _run([LMX, LM_STUDIO, BALANCED_OLLAMA], 23, "7hree002", 1, ((1, 5), (4, 12)))


def third_of_three() -> list[dict[str, Any]]:
    return _run([replace(LMX, model=LLAMA, step=0.0141), LLAMA_CPP], 24, "7hree003", 2, ((1, 5),))


def failures() -> list[dict[str, Any]]:
    down = replace(OLLAMA, model="qwen2.5:7b", fail_share={1: 1.0, 4: 1.0})
    return _run([down], 25, "dead0002", 3, ((1, 5), (4, 8)))


def hostile() -> list[dict[str, Any]]:
    return _run([replace(HOSTILE, fail_share={})], 26, "66600667", 3, ((1, 5),))


# ---- what else is known ------------------------------------------------------------------------------


def call(name: str = "get_weather", **judged: Any) -> ToolCallBenchmark:
    """A tool call that was right, but for what `judged` says."""
    fields: dict[str, Any] = {
        "tool_definition": WEATHER,
        "expected_tool_name": name,
        "prompt_used": ASKED,
        "call_produced": True,
        "tool_name_correct": True,
        "params_valid_json": True,
        "params_match_schema": True,
        "raw_tool_call": {"name": name, "arguments": '{"location":"Sydney"}'},
        "latency_sec": 0.912,
        "form": "tool_calls",
    }
    return ToolCallBenchmark.model_validate(fields | judged)


def none_called(error: str | None = None) -> ToolCallBenchmark:
    judged = dict.fromkeys(("call_produced", "tool_name_correct", "params_valid_json", "params_match_schema"), False)
    return call(**judged, raw_tool_call=None, form=None, error=error, latency_sec=None if error else 1.31)


def quality(level: LevelResult, repetitive: int = 0, truncated: int = 0, same: int | None = None) -> QualityResult:
    answers = level.requests.ok
    stability = None
    if same is not None:
        sentence = f"{same} of {answers} answers were word for word what it said when asked alone"
        stability = StabilityResult(answers=answers, same=same, first_differing_token=17, sentence=sentence)
    return QualityResult(
        answers=answers,
        flags={"ok": answers - repetitive - truncated, "repetitive": repetitive, "truncated": truncated, "garbled": 0},
        natural=answers - truncated - 1,
        limited=truncated,
        unknown=1,
        stability=stability,
    )


def word(level: LevelResult, source: str, factor: float = 0.97) -> ServerWord:
    """The server's own figures, a little better than those of the client."""
    ttft, rate = level.metrics["ttft"].p50, level.metrics["decode_tok_s"].p50
    assert ttft
    assert rate
    return ServerWord(
        source=source,
        answers=level.requests.ok,
        prompt_sec=ttft * factor,
        toks_per_sec=rate / factor,
        client_ttft_sec=ttft,
        client_toks_per_sec=rate,
    )


def bandwidth(ceiling: float) -> Hypothesis:
    return Hypothesis(
        kind="bandwidth",
        toks_per_sec=ceiling,
        sentence=f"No more than {ceiling:g} tok/s: 819 GB/s of memory bandwidth ÷ 4.3 GB read for each token.",
    )


def published() -> Hypothesis:
    figure = PublishedFigure(
        model="qwen2.5:7b",
        server="ollama",
        toks_per_sec=88.87,
        source="github.com/itsmostafa/inference-speed-tests README.md @083006e",
        hardware="Mac Studio M3 Ultra 256 GB, 80-core GPU",
        same_chip=True,
    )
    return Hypothesis(
        kind="published",
        toks_per_sec=88.87,
        sentence="About 88.9 tok/s, as published for Ollama on the same chip.",
        figures=[figure],
    )


def own_benchmark(model: str) -> BenchmarkResult:
    """What Opta-LMX says of itself, p95 at the best end."""
    stats = BenchmarkRunStats(
        ttft_p50_sec=0.176,
        ttft_p95_sec=0.201,
        ttft_mean_sec=0.178,
        toks_per_sec_p50=81.2,
        toks_per_sec_p95=96.4,
        toks_per_sec_mean=81.9,
        prompt_tokens=31,
        output_tokens=200,
        runs_completed=5,
        warmup_runs_discarded=1,
        output_text="A transformer reads all words at once.",
        output_token_count=200,
        completed_naturally=False,
        repetition_ratio=0.02,
        coherence_flag="truncated",
    )
    return BenchmarkResult(
        model_id=model,
        backend="vllm-mlx",
        timestamp="2026-11-23T10:02:11+00:00",
        status="ok",
        hardware="Apple M3 Ultra, 256 GB",
        lmx_version="0.1.0",
        prompt_preview="Explain transformer neural networks in detail.",
        stats=stats,
    )


def _checked(target: TargetResult) -> None:
    target.tool_calls = [
        call(),
        call(
            name="find_train",
            prompt_used="When does the next train to Lyon leave?",
            tool_name_correct=False,
            form="text tag",
        ),
        call(name="convert", prompt_used="What are 12 miles in km?", params_match_schema=False, form="bare JSON"),
        none_called(),
    ]
    target.skills = [
        SkillsBenchmark(
            skill_name="echo", skill_invoked_successfully=True, skill_result_preview="hello", skill_latency_sec=0.021
        ),
        SkillsBenchmark(skill_name="search", skill_invoked_successfully=False, error="timed out after 30 s"),
    ]


def fill_lmx(result: RunResult) -> None:
    target = result.targets[0]
    target.hypothesis = bandwidth(190)
    _checked(target)
    for place, level in enumerate(target.levels):
        level.quality = quality(level, repetitive=place, same=level.requests.ok - 2 * place)
    target.server_benchmarks = [own_benchmark(target.model)]


SAID_IN = {"llamacpp": "llama.cpp's timings", "ollama": "Ollama's eval_duration and prompt_eval_duration"}


def fill_several(result: RunResult) -> None:
    for target in result.targets:
        target.hypothesis = published() if "wen2.5" in target.model else bandwidth(170)
        target.tool_calls = [none_called()] if target.name == "llamacpp" else [call()]
        unsupported = SkillsBenchmark(skill_name="echo", skill_invoked_successfully=False, error="not supported")
        target.skills = [] if target.name == "lmx" else [unsupported]
        for level in target.levels:
            level.quality = quality(level, truncated=1)
            level.server_word = word(level, SAID_IN[target.dialect]) if target.dialect in SAID_IN else None


def fill_failed(result: RunResult) -> None:
    target = result.targets[0]
    target.hypothesis = Hypothesis(
        kind="none", sentence="Nothing was published and the machine's bandwidth is not known."
    )
    target.tool_calls = [none_called(error="HTTP 503: server busy, please try again")]


def fill_hostile(result: RunResult) -> None:
    target = result.targets[0]
    evil = "<img src=x onerror=window.hacked=20><a href='javascript:alert(20)'>=cmd|' /C calc'!A0</a>\x1b[2J"
    target.hypothesis = Hypothesis(kind="none", sentence=evil)
    target.tool_calls = [call(name=evil, prompt_used=evil, form=evil, error=evil)]
    target.skills = [SkillsBenchmark(skill_name=evil, skill_invoked_successfully=True, skill_result_preview=evil)]
    for level in target.levels:
        level.quality = quality(level, same=1)
        level.quality.stability = StabilityResult(answers=1, same=1, sentence=evil)
        level.server_word = word(level, evil)


RUNS: dict[str, tuple[Callable[[], list[dict[str, Any]]], Callable[[RunResult], None]]] = {
    "one": (one_run, fill_lmx),
    "first": (first_of_three, lambda result: None),  # as an older version left it
    "second": (second_of_three, fill_several),
    "third": (third_of_three, fill_several),
    "failures": (failures, fill_failed),
    "hostile": (hostile, fill_hostile),
}
THREE = ("first", "second", "third")
