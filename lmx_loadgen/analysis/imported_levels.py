"""A result that only has the plan's statistics, as the one level that they are of: one request at a time."""

from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.store.result import (
    BenchmarkResult,
    LevelResult,
    MetricResult,
    RequestCounts,
    TokenCounts,
    TokenSums,
    WindowResult,
    Witness,
)


def imported_levels(result: BenchmarkResult) -> list[LevelResult]:
    """The level, or none where the result has no statistics. How many requests failed is not known, and 0 in it; what
    counted the tokens is taken to be the plan's usage (by what others really counted, `store.imported` tells)."""
    stats = result.stats
    if stats is None:
        return []
    runs = stats.runs_completed or 0
    figures = {
        "ttft": (stats.ttft_mean_sec, stats.ttft_p50_sec, stats.ttft_p95_sec),
        "decode_tok_s": (stats.toks_per_sec_mean, stats.toks_per_sec_p50, stats.toks_per_sec_p95),
        "output_tokens": (stats.output_tokens, None, None),
    }
    prompt = None if stats.prompt_tokens is None else stats.prompt_tokens * runs
    return [
        LevelResult(
            load_point=ALONE,
            requests=RequestCounts(sent=runs, ok=runs, failed=0, cancelled=0, warmup=0, first_wave=0),
            window=WindowResult(seconds=None, segments=1),
            sample="all",
            token_basis="usage",
            token_basis_exact=True,
            tokens=TokenCounts(usage=TokenSums(prompt=prompt), events=TokenSums()),
            metrics={
                name: MetricResult(
                    unit=METRICS[name].unit, better=METRICS[name].better, n=runs, mean=mean, p50=p50, p95=p95
                )
                for name, (mean, p50, p95) in figures.items()
            },
            complete=True,
            witness=Witness(lag_threshold_s=0.0),
        )
    ]
