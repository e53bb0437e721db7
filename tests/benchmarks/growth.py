"""What a long run costs: seconds and memory of recompute, plot and compare, by the number of requests.

    python -m tests.benchmarks.growth [--requests 10000,100000,1000000] [--tokens 20] [--levels 1] [--live 100000]

The runs are generated: two targets in turn, six blocks a level, every answer of as many tokens, each token a read. With
`--live` a run of so many requests is measured against the simulator too, and the memory of each process is given.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import read_log
from tests.helpers.made_lines import MS, header_line, point, request_line, segment_line, usage
from tests.helpers.made_sessions import PROFILE, TEXT

TARGETS = ("a", "b")
BLOCKS, SLOTS, STEP_MS = 6, 8, 20.0


def lines(requests: int, tokens: int, levels: int) -> Iterator[dict[str, Any]]:
    """The lines of a run's log."""
    draw, now, number = random.Random(1), 1000.0, 0
    points = [point(SLOTS * (at + 1)) for at in range(levels)]
    places: list[dict[str, Any]] = [
        {"target": target, "load_point": one, "block": block}
        for one in points
        for block in range(BLOCKS)
        for target in (TARGETS if block % 2 else TARGETS[::-1])
    ]
    each = max(1, requests // len(places))
    plan = [place | {"phase": "load", "requests": each, "duration": None, "warmup": 0} for place in places]
    targets = [
        {"name": name, "dialect": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m", "notes": []}
        | {"server": {"product": "openai", "version": "1"}}
        for name in TARGETS
    ]
    instrument = {"loop": "uvloop", "stamps": "kernel", "workers": 1}
    yield header_line(plan=plan, profile=PROFILE, targets=targets, instrument=instrument)
    words = TEXT.split()
    for place in places:
        slots: int = place["load_point"]["concurrency"]
        free, begun = [now] * slots, now
        for of_block in range(each):
            slot = of_block % slots
            step = STEP_MS * draw.uniform(0.9, 1.1) * (1.2 if place["target"] == "b" else 1.0)
            first = 200 * draw.uniform(0.9, 1.1)
            reads = [(first + step * at, [f"content:{words[at % len(words)]} "]) for at in range(tokens)]
            line = request_line(reads, free[slot], usage=usage(30, tokens), finish_reason="length", max_tokens=tokens)
            yield line | place | {"id": number, "slot": slot, "first_wave": of_block < slots}
            free[slot] = line["end_ns"] / MS
            number += 1
        yield segment_line(begun, min(free), max(free), start_ns=round(begun * MS), **place)
        now = max(free) + 500
    yield {"type": "end", "end_ns": round(now * MS), "complete": True, "reason": None}


def generated(folder: Path, requests: int, tokens: int, levels: int) -> Path:
    """The folder of such a run."""
    folder.mkdir()
    with (folder / "events.jsonl").open("w", encoding="utf-8") as file:
        for line in lines(requests, tokens, levels):
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    return folder


def measured(*arguments: str) -> tuple[float, float, float]:
    """Seconds by the clock and of processors, and MB (the peak), of a command of the tool."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "lmx_loadgen", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage_of = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 30):
        raise click.ClickException(f"lmx-loadgen {' '.join(arguments)} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes, or KiB
    return time.perf_counter() - begun, usage_of.ru_utime + usage_of.ru_stime, usage_of.ru_maxrss * unit / 1e6


def shown(what: str, requests: int, found: tuple[float, float, float]) -> None:
    clock, processors, peak = found
    click.echo(f"{what:<12} {requests:>9,} requests  {clock:>7.1f} s ({processors:.1f} s of CPU)  {peak:>6.0f} MB")


def commands(folder: Path, requests: int, targets: int = len(TARGETS)) -> None:
    """Recompute, plot and compare a run of so many requests."""
    page = folder.parent / "page.html"
    shown("recompute", requests, measured("recompute", str(folder)))
    shown("plot", requests, measured("plot", str(folder), "--output", str(page), "--no-open"))
    click.echo(f"{'page':<12} {requests:>9,} requests  {page.stat().st_size / 1e6:>7.1f} MB")
    if targets > 1:
        shown("compare", requests, measured("compare", str(folder)))


def live(folder: Path, requests: int, tokens: int) -> None:
    """A run against the simulator, and the memory of each of its processes."""
    fast = SimSettings(ttft_ms=200, step_ms=20, prefill_tok_s=None, engine="independent", default_max_tokens=tokens)
    with start(fast) as sim:
        order = ("-t", f"sim={sim.url}", "-n", str(requests), "-c", "512", "--max-tokens", str(tokens))
        shown("run (live)", requests, measured("run", *order, "--no-calibrate", "--out", str(folder)))
    (run,) = (one for one in folder.iterdir() if (one / "result.json").is_file())
    log = read_log(run / "events.jsonl")
    peak = max(line["client"]["peak_rss_bytes"] for line in log.segments) / 1e6
    failed = sum(line["outcome"] != "ok" for line in log.requests)
    click.echo(f"{'its worker':<12} {requests:>9,} requests, {failed} failed  {peak:>7.0f} MB")
    commands(run, requests, targets=1)


@click.command(help=__doc__)
@click.option("--requests", default="10000,100000,1000000", show_default=True)
@click.option("--tokens", default=20, show_default=True)
@click.option("--levels", default=1, show_default=True)
@click.option("--live", "live_requests", type=int, help="Measure a run of so many requests too.")
def main(requests: str, tokens: int, levels: int, live_requests: int | None) -> None:
    with tempfile.TemporaryDirectory(prefix="growth-") as scratch:
        for number in map(int, filter(None, requests.split(","))):
            folder = generated(Path(scratch) / str(number), number, tokens, levels)
            size = (folder / "events.jsonl").stat().st_size
            click.echo(f"{'log':<12} {number:>9,} requests  {size / 1e6:>7.0f} MB, {tokens} tokens an answer")
            commands(folder, number)
            (folder / "events.jsonl").unlink()
        if live_requests:
            live(Path(scratch) / "live", live_requests, tokens)


if __name__ == "__main__":
    main()
