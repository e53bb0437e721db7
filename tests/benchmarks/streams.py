"""Ten thousand streams at once: are all answered, how wrong are their times, and how much memory does the tool take?

    python -m tests.benchmarks.streams [--concurrency 10000] [--workers 1] [--workers chosen] [--stamps loop]

Runs the tool as its user would against the simulator, whose answers begin after some seconds and then come slowly, so
that two cores bear them: first with one measuring process, then with as many as the calibration chooses. Looks at all
of the tool's processes (not the simulator) every half second, and in the end holds the event log against the
simulator's. Exits with 1 where a request failed or the memory is over --most-mb.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import yaml

from lmx_loadgen.calibration.pairing import errors_of, spread
from lmx_loadgen.calibration.run import STEADY, simulator
from lmx_loadgen.profile.loading import load_profile
from lmx_loadgen.session.instrument import instrument
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.session.worker_count import with_calibration
from lmx_loadgen.sim.truth import read_truth
from lmx_loadgen.store.calibration import SpreadResult
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.system.clock import NS

CHOSEN = "chosen"
LOOK_EVERY_S = 0.5
GIVE_UP_S = 900.0
RUN = """
import sys, lmx_loadgen
target, profile, workers, stamps, out = sys.argv[1:]
lmx_loadgen.run(target, profile=profile, workers=int(workers), stamps=stamps, out=out, calibrate=False, probe=False)
"""
HEAD = (
    f"{'workers':>7} {'requests':>8} {'failed':>6} {'TTFT p50':>9} {'p99':>8} {'chunk p50':>9} {'p99':>8} "
    f"{'load MB':>8} {'parent':>7} {'peak MB':>8} {'each KB':>8} {'minutes':>7}   (errors in ms)"
)


@dataclass(frozen=True)
class Load:
    """What is asked of the tool, and who stamps its arrivals; times in ms, `stagger` in s."""

    concurrency: int
    waves: int
    tokens: int
    ttft_ms: float
    step_ms: float
    stagger: float
    stamps: str


@dataclass(frozen=True)
class Row:
    """One run: errors in ms; memory in MB, of all the tool's processes (`parent`: of the first alone): before the load,
    at most under load, and at most in all, the result's computation included."""

    workers: int
    requests: int
    failed: int
    ttft: tuple[float, float]
    chunk: tuple[float, float]
    idle_mb: float
    loaded_mb: float
    parent_mb: float
    peak_mb: float
    took_s: float

    def words(self, concurrency: int) -> str:
        each_kb = (self.loaded_mb - self.idle_mb) * 1024 / concurrency
        errors = f"{self.ttft[0]:9.3f} {self.ttft[1]:8.2f} {self.chunk[0]:9.3f} {self.chunk[1]:8.2f}"
        memory = (
            f"{self.loaded_mb:8.0f} {self.parent_mb:7.0f} {self.peak_mb:8.0f} {each_kb:8.1f} {self.took_s / 60:7.1f}"
        )
        return f"{self.workers:7} {self.requests:8,} {self.failed:6,} {errors} {memory}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Many streams at once.")
    parser.add_argument("--concurrency", type=int, default=10_000)
    parser.add_argument("--waves", type=int, default=2, help="requests of each stream")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--ttft-ms", type=float, default=3000.0)
    parser.add_argument("--step-ms", type=float, default=1000.0)
    parser.add_argument("--stagger", type=float, default=10.0, help="seconds over which the streams start")
    parser.add_argument("--workers", action="append", help="measuring processes, or `chosen`; may be repeated")
    parser.add_argument("--stamps", choices=["kernel", "loop"], default=instrument(Options())[1].value)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--most-mb", type=float, default=1024.0)
    chosen = parser.parse_args()
    load = Load(
        chosen.concurrency, chosen.waves, chosen.tokens, chosen.ttft_ms, chosen.step_ms, chosen.stagger, chosen.stamps
    )
    kinds = [_number(workers, load) for workers in chosen.workers or ["1", CHOSEN]]
    print(HEAD)
    rows = []
    for _ in range(chosen.rounds):
        for workers in dict.fromkeys(kinds):
            rows.append(one_run(load, workers))
            print(rows[-1].words(load.concurrency), flush=True)
    is_well = all(not row.failed and row.peak_mb <= chosen.most_mb for row in rows)
    print(f"{'yes' if is_well else 'NO'}: every request was answered, in at most {chosen.most_mb:,.0f} MB")
    sys.exit(0 if is_well else 1)


def _number(workers: str, load: Load) -> int:
    """How many measuring processes; where the calibration chooses them, it is made first if there is none."""
    if workers != CHOSEN:
        return int(workers)
    with tempfile.TemporaryDirectory(prefix="streams-") as scratch:
        profile = load_profile(str(_profile_file(Path(scratch), load)))
    options, _ = with_calibration(Options(), profile, StopFlag(), Silent(), chooses_workers=False, calibrates=True)
    print(options.workers_why or "the calibration chooses 1 measuring process")
    return options.workers


def one_run(load: Load, workers: int) -> Row:
    """One run of the tool, held against the simulator's log."""
    with tempfile.TemporaryDirectory(prefix="streams-") as scratch:
        folder = Path(scratch)
        settings = replace(STEADY, ttft_ms=load.ttft_ms, step_ms=load.step_ms)
        with simulator(settings) as (sim, truth_path):
            looks = _run(folder, load, workers, sim.base_url)
            sim.flush()
            (path,) = folder.glob("reports/*/events.jsonl")
            log = read_log(path)
            errors = errors_of(log.requests, read_truth(truth_path))
        outcomes = Counter(line["outcome"] for line in log.requests)
    if outcomes.keys() - {"ok"} or errors.unpaired:
        print(f"outcomes {dict(outcomes)}, {errors.unpaired} not in the simulator's log", file=sys.stderr)
    begin_s, end_s = log.segments[0]["start_ns"] / NS, log.segments[0]["end_ns"] / NS
    loaded = [look for look in looks if begin_s <= look.at_s <= end_s]
    before = [look.memory_mb for look in looks if look.at_s < begin_s]
    return Row(
        workers=workers,
        requests=len(log.requests),
        failed=load.concurrency * load.waves - outcomes["ok"],
        ttft=_ms(spread(errors.ttft)),
        chunk=_ms(spread(errors.chunk)),
        idle_mb=before[0] if before else loaded[0].memory_mb,
        loaded_mb=max(look.memory_mb for look in loaded),
        parent_mb=max(look.parent_mb for look in loaded),
        peak_mb=max(look.memory_mb for look in looks),
        took_s=looks[-1].at_s - looks[0].at_s,
    )


@dataclass(frozen=True)
class Look:
    """The resident memory of the tool's processes, and of the first alone, at one moment of the monotonic clock."""

    at_s: float
    memory_mb: float
    parent_mb: float


def _run(folder: Path, load: Load, workers: int, url: str) -> list[Look]:
    # By the Python API, which can leave out what is asked beside the load: answers are slow here, one by one above all.
    command = [sys.executable, "-c", RUN, f"sim={url}", str(_profile_file(folder, load))]
    command += [str(workers), load.stamps, str(folder / "reports")]
    process, looks = subprocess.Popen(command), list[Look]()
    began = time.monotonic()
    while process.poll() is None:
        time.sleep(LOOK_EVERY_S)
        if (look := _look(process.pid)) is not None:
            looks.append(look)
        if time.monotonic() - began > GIVE_UP_S:
            process.kill()
    assert process.returncode in (0, 1), f"the run ended with {process.returncode}"
    return looks


def _look(pid: int) -> Look | None:
    try:
        process = psutil.Process(pid)
        parent = process.memory_info().rss
        memory = parent + sum(one.memory_info().rss for one in process.children())
    except psutil.Error:
        return None
    return Look(time.monotonic(), memory / 2**20, parent / 2**20)


def _profile_file(folder: Path, load: Load) -> Path:
    path = folder / "streams.yaml"
    asked = {
        "load": {
            "concurrency": load.concurrency,
            "requests": load.concurrency * load.waves,
            "warmup": 0,
            "stagger": load.stagger,
        },
        "request": {"max_tokens": load.tokens},
        "checks": {"stability": False},
    }
    path.write_text(yaml.safe_dump(asked), encoding="utf-8")
    return path


def _ms(errors: SpreadResult | None) -> tuple[float, float]:
    assert errors is not None
    return errors.p50 * 1e3, errors.p99 * 1e3


if __name__ == "__main__":
    main()
