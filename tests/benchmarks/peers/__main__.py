"""Tools against the truth: each tool measures the same simulator at the same settings, and its reported times to first
token are set beside what the simulator truly did.

    python -m tests.benchmarks.peers --guidellm ENV --aiperf ENV --vllm ENV --llama-benchy ENV --asiai ENV [--store]

Each ENV is a virtual environment that has the tool; a tool without one is left out. For every tool and concurrency the
median over the runs is given of: reported p50 − true p50, and reported p99 − true p99, in ms. `--store` keeps the
table in reference/tools-vs-truth.yaml, which reference/accuracy.md shows. Nothing else should run meanwhile.
"""

import platform
import statistics
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from lmx_loadgen.system import host
from tests.benchmarks.peers.tools import TOOLS, Quantiles, Tool, Work, environments, run
from tests.helpers.paths import ROOT

TTFT_MS, STEP_MS, TOKENS = 200.0, 20.0, 64
STORED = ROOT / "reference" / "tools-vs-truth.yaml"
HEAD = """\
# What tools report as time to first token, minus what the simulator's own log says it truly was, in ms.
# p50: reported median - true median; p99: reported 99th percentile - true 99th percentile; medians over the runs.
# Made by `python -m tests.benchmarks.peers --store`: repeat it on your own machine.
"""


def one_run(tool: Tool, python: Path, concurrency: int) -> tuple[float, float]:
    """The tool's error in ms at its median and at its 99th percentile."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        scratch, log = Path(folder) / "tool", Path(folder) / "truth.jsonl"
        scratch.mkdir()
        settings = SimSettings(
            ttft_ms=TTFT_MS,
            step_ms=STEP_MS,
            prefill_tok_s=None,
            engine="independent",
            dialect=tool.dialect,  # type: ignore[arg-type]
            default_max_tokens=TOKENS,
            log=str(log),
        )
        with start(settings) as sim:
            work = Work(sim.url, "sim-model", concurrency, max(8, 3 * concurrency), TOKENS, scratch)
            reported = run(tool, python, work)
            sim.flush()
        found = [one for one in read_truth(log).values() if one.first_text_ns is not None and one.outcome == "complete"]
        found.sort(key=lambda one: one.received_ns)
        truths = [(one.first_text_ns - one.received_ns) / 1e9 for one in found if one.first_text_ns is not None]
    if not isinstance(reported, Quantiles):
        p50, p99 = (float(np.percentile(reported, percentile)) for percentile in (50, 99))
        reported = Quantiles(p50, p99, len(reported), len(truths))
    if reported.requests < 0.9 * work.requests:
        click.echo(f"  {tool.name} reports {reported.requests} of {work.requests} requests", err=True)
    true = [of_passes(truths, reported.of_each, percentile) for percentile in (50, 99)]
    return 1e3 * (reported.p50 - true[0]), 1e3 * (reported.p99 - true[1])


def of_passes(truths: Sequence[float], of_each: int, percentile: int) -> float:
    """The median over passes of a percentile of each."""
    passes = [truths[start : start + of_each] for start in range(0, len(truths), of_each)]
    return statistics.median(float(np.percentile(one, percentile)) for one in passes)


def measured(names: dict[str, Path], levels: list[int], runs: int) -> list[dict[str, Any]]:
    """All tools in turn, run by run, so that a slow minute of the machine meets every one of them."""
    errors: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for number in range(runs):
        for concurrency in levels:
            for name, python in names.items():
                try:
                    found = one_run(TOOLS[name], python, concurrency)
                except RuntimeError as problem:
                    click.echo(str(problem), err=True)
                    continue
                errors.setdefault((name, concurrency), []).append(found)
                click.echo(f"{number + 1}  C={concurrency:<4} {name:12} p50 {found[0]:8.2f}  p99 {found[1]:8.2f}")
    return [
        {
            "name": name,
            "version": TOOLS[name].version(python),
            "ttft_error_ms": {
                level: {
                    key: round(statistics.median(pair[place] for pair in pairs), 3)
                    for place, key in enumerate(("p50", "p99"))
                }
                for level in levels
                if (pairs := errors.get((name, level)))
            },
        }
        for name, python in names.items()
    ]


@click.command(help=__doc__)
@click.option("--guidellm", type=click.Path(exists=True, path_type=Path))
@click.option("--aiperf", type=click.Path(exists=True, path_type=Path))
@click.option("--vllm", type=click.Path(exists=True, path_type=Path))
@click.option("--llama-benchy", "benchy", type=click.Path(exists=True, path_type=Path))
@click.option("--asiai", type=click.Path(exists=True, path_type=Path))
@click.option("--concurrency", default="1,16,64,256", show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--store", is_flag=True)
def main(
    guidellm: Path | None,
    aiperf: Path | None,
    vllm: Path | None,
    benchy: Path | None,
    asiai: Path | None,
    concurrency: str,
    runs: int,
    store: bool,
) -> None:
    named = {"GuideLLM": guidellm, "AIPerf": aiperf, "vllm bench": vllm, "llama-benchy": benchy, "asiai": asiai}
    found = environments({name: folder for name, folder in named.items() if folder is not None})
    cores = host.facts()["cpu_count"]
    table = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{cores} cores, {platform.system()} {platform.machine()}, the simulator on the same cores",
        "settings": {"ttft_ms": TTFT_MS, "step_ms": STEP_MS, "tokens": TOKENS, "requests_per_slot": 3, "runs": runs},
        "tools": measured(found, [int(level) for level in concurrency.split(",")], runs),
    }
    text = HEAD + yaml.safe_dump(table, sort_keys=False)
    click.echo(text)
    if store:
        STORED.write_text(text)


if __name__ == "__main__":
    main()
