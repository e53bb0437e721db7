"""Are the healthy requests still timed rightly when others fail beside them?

    python -m tests.benchmarks.stress [--concurrency 500] [--rounds 3]

Loads the simulator without faults and with one in twenty requests failing, in turns, and prints by how much the
healthy requests' stamps were wrong in each. A level that the calibration covers must not be worse for the faults.
"""

import argparse
from dataclasses import replace
from statistics import median

from lmx_loadgen.calibration.pairing import spread
from lmx_loadgen.calibration.run import STEP_MS, TTFT_MS, Stretch, measured, simulator
from lmx_loadgen.session.calibrated import measure
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.sim.settings import SimSettings

FAULTS = {
    "reset_mid": 0.01,
    "http_500": 0.01,
    "truncated": 0.01,
    "close_before_headers": 0.005,
    "error_object": 0.005,
    "garbage_sse": 0.005,
    "half_close": 0.005,
}
STEADY = SimSettings(step_ms=STEP_MS, ttft_ms=TTFT_MS, prefill_tok_s=None, engine="independent", seed=7)

Figures = tuple[float, float, float, float]


def one(concurrency: int, faults: dict[str, float]) -> tuple[Figures, int, int]:
    """(TTFT p50, p99, chunk p50, p99 of the error in ms, healthy requests, failed ones)."""
    load = Stretch(concurrency, concurrency * 4, 64, 1.0)
    with simulator(replace(STEADY, faults=faults)) as (sim, truth_path):
        log, errors = measured(load, sim, truth_path, measure(Options(), StopFlag()))
    ttft, chunk = spread(errors.ttft), spread(errors.chunk)
    assert ttft is not None
    assert chunk is not None
    failed = sum(line["outcome"] != "ok" for line in log.requests)
    figures = (ttft.p50 * 1e3, ttft.p99 * 1e3, chunk.p50 * 1e3, chunk.p99 * 1e3)
    return figures, len(errors.ttft), failed


def main() -> None:
    parser = argparse.ArgumentParser(description="Timing under stress.")
    parser.add_argument("--concurrency", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    kinds = {"no faults": {}, "5 % faults": FAULTS}
    seen: dict[str, list[Figures]] = {kind: [] for kind in kinds}
    print(f"{'':12} {'TTFT p50':>9} {'p99':>8} {'chunk p50':>10} {'p99':>8}   healthy / failed (errors in ms)")
    for _ in range(chosen.rounds):
        for kind, faults in kinds.items():
            figures, healthy, failed = one(chosen.concurrency, faults)
            seen[kind].append(figures)
            print(_row(kind, figures) + f"   {healthy} / {failed}", flush=True)
    for kind, rows in seen.items():
        print(_row(kind, tuple(median(column) for column in zip(*rows, strict=True))) + "   medians")


def _row(kind: str, figures: tuple[float, ...]) -> str:
    a, b, c, d = figures
    return f"{kind:12} {a:9.3f} {b:8.3f} {c:10.3f} {d:8.3f}"


if __name__ == "__main__":
    main()
