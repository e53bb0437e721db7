"""Results in the shape of the benchmark plan, made by hand."""

from lmx_loadgen.store.result import BenchmarkResult, BenchmarkRunStats, SkillsBenchmark, ToolCallBenchmark

TOOL = ToolCallBenchmark(
    tool_definition={"name": "get_weather"},
    expected_tool_name="get_weather",
    prompt_used="What's the weather in Sydney right now?",
    call_produced=True,
    tool_name_correct=True,
    params_valid_json=True,
    params_match_schema=False,
    raw_tool_call={"name": "get_weather", "arguments": '{"location":'},
    latency_sec=1.25,
)
SKILL = SkillsBenchmark(skill_name="echo", skill_invoked_successfully=False, error="timed out")


def made(model: str = "mlx-community/Qwen2.5-7B", timestamp: str = "2026-11-23T17:36:23.123Z") -> BenchmarkResult:
    stats = BenchmarkRunStats(
        ttft_p50_sec=0.2,
        runs_completed=5,
        warmup_runs_discarded=1,
        output_text="Hé <b>\n",
        coherence_flag="ok",
        tool_call=TOOL,
        skills=[SKILL],
    )
    return BenchmarkResult(
        model_id=model,
        backend="lmx",
        timestamp=timestamp,
        status="ok",
        hardware="Apple M2 Ultra, 192 GB",
        prompt_preview="Explain",
        stats=stats,
    )


def whole(**stats: object) -> BenchmarkResult:
    """A result with every figure that Opta-LMX demands."""
    figures = dict.fromkeys(("ttft_p50_sec", "ttft_p95_sec", "ttft_mean_sec"), 0.25)
    rates = dict.fromkeys(("toks_per_sec_p50", "toks_per_sec_p95", "toks_per_sec_mean"), 40.125)
    counts = {"prompt_tokens": 30, "output_tokens": 200, "output_token_count": 200}
    judged = {"completed_naturally": False, "repetition_ratio": 0.0}
    of_made = made().stats
    assert of_made is not None
    return made().model_copy(
        update={"stats": BenchmarkRunStats(**{**dict(of_made), **figures, **rates, **counts, **judged, **stats})}
    )
