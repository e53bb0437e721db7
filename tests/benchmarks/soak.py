"""Half an hour against a simulator with random faults: is memory flat, are file handles flat, is every request counted?

    python -m tests.benchmarks.soak [--minutes 30] [--concurrency 16]

Runs the tool as its user would, looks at its processes every few seconds, and in the end holds its event log against
the simulator's. Exits with 1 when something is not as it should be.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from lmx_loadgen.sim.faults import FAULTS
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth

LOOK_EVERY_S = 5.0
SHARE = 0.10
# These hold a slot for as long as they may: with the others, but seldom.
SLOW = frozenset({"stall_first_token", "stall_mid", "endless_stream", "endless_headers", "one_byte"})


@dataclass(frozen=True)
class SeriesStyle:
    """What the tool's processes held at one moment: resident memory in MB, open files."""

    at_s: float
    memory_mb: float
    files: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Soak test.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--concurrency", type=int, default=16)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        sys.exit(0 if soak(Path(scratch), chosen.minutes * 60, chosen.concurrency) else 1)


def soak(scratch: Path, seconds: float, concurrency: int) -> bool:
    truth_path = scratch / "truth.jsonl"
    with start(_server(truth_path)) as sim:
        series_styles = _load(scratch, sim.base_url, seconds, concurrency)
        sim.flush()
        (log,) = scratch.glob("reports/*/events.jsonl")
        truths = read_truth(truth_path)
    return _judged(series_styles, log, truths)


def _server(truth_path: Path) -> SimSettings:
    share = SHARE / len(FAULTS)
    faults = {name: share / 5 if name in SLOW else share for name in FAULTS}
    return SimSettings(
        ttft_ms=100.0, step_ms=20.0, jitter=0.2, stop_after=30, faults=faults, fault_seconds=3.0, log=str(truth_path)
    )


def _load(scratch: Path, url: str, seconds: float, concurrency: int) -> list[SeriesStyle]:
    profile = scratch / "soak.yaml"
    profile.write_text(
        f"load: {{concurrency: {concurrency}, duration: {seconds:g}s, warmup: 0}}\n"
        "request: {max_tokens: 40}\n"
        "timeouts: {first_token: 2s, gap: 2s, request: 10s}\n"
    )
    command = [sys.executable, "-m", "lmx_loadgen", "run", "-t", f"sim={url}", "-p", str(profile), "--no-calibrate"]
    command += ["--quiet", "--out", str(scratch / "reports")]
    process = subprocess.Popen(command)
    began, series_styles = time.monotonic(), []
    while process.poll() is None:
        time.sleep(LOOK_EVERY_S)
        at_s = time.monotonic() - began
        # What comes after the load sums up the whole log, which takes memory of its own.
        if at_s < seconds and (look := _look(process.pid, at_s)) is not None:
            series_styles.append(look)
        if at_s > seconds + 300:
            process.kill()
    assert process.returncode == 0, f"the run ended with {process.returncode}"
    return series_styles


def _look(pid: int, at_s: float) -> SeriesStyle | None:
    try:
        process = psutil.Process(pid)
        processes = [process, *process.children()]
        memory = sum(one.memory_info().rss for one in processes)
        files = sum(one.num_fds() for one in processes)
    except psutil.Error:
        return None
    return SeriesStyle(at_s, memory / 2**20, files)


def _judged(series_styles: list[SeriesStyle], log: Path, truths: dict[str, object]) -> bool:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    requests = [line for line in lines if line["type"] == "request"]
    outcomes = Counter(line["outcome"] for line in requests)
    known = Counter(line["response_id"] for line in requests if line["response_id"] in truths)
    result = json.loads((log.parent / "result.json").read_text(encoding="utf-8"))
    (level,) = result["targets"][0]["levels"]
    counts = level["requests"]
    quarter = max(1, len(series_styles) // 4)
    early, late = series_styles[quarter : 2 * quarter] or series_styles, series_styles[-quarter:]
    memory = [median(look.memory_mb for look in part) for part in (early, late)]
    files = [median(look.files for look in part) for part in (early, late)]
    ids = [line["id"] for line in requests]
    again = sum(bool(line.get("reconnected")) for line in requests)
    print(
        f"{len(requests):,} requests, {len(truths):,} in the simulator's log; {again} sent again; "
        f"by outcome: {dict(outcomes)}"
    )
    print(f"memory: {memory[0]:.1f} MB in the second quarter, {memory[1]:.1f} MB in the last")
    print(f"open files: {files[0]:g} and {files[1]:g}")
    checks = {
        "every request has a line of its own": len(set(ids)) == len(ids) and ids == sorted(ids),
        "sent = ok + failed + cancelled": counts["sent"] == counts["ok"] + counts["failed"] + counts["cancelled"],
        "no answer is counted twice": max(known.values(), default=0) <= 1,
        # A request that crosses the end of an idle connection is sent again, once, and its line says so.
        "every answer of the simulator has its request": len(truths) <= len(requests) + again,
        "memory is flat (within 10 %)": memory[1] <= 1.1 * memory[0],
        "file handles are flat": files[1] <= files[0] + 2,
        "the run is complete": result["complete"],
    }
    for what, holds in checks.items():
        print(f"{'yes' if holds else 'NO ':4} {what}")
    return all(checks.values())


if __name__ == "__main__":
    main()
