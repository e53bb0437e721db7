"""How exactly tools keep a constant rate: each sends to the same simulator, whose kernel stamps what comes.

    python -m tests.benchmarks.peers.rates --guidellm ENV --aiperf ENV [--rate 500] [--seconds 10]

Each ENV is a virtual environment that has the tool; a tool without one is left out. Given are the rate that each tool
reached, and by how much requests came off a schedule of the rate that was asked for, in ms, whose start is fitted to
the median. Nothing else should run meanwhile.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np

from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from tests.benchmarks.peers.tools import Work, environments, prepare

TOKENS = 2
Command = Callable[[Path, Work, float, float], list[str]]


def _ours(python: Path, work: Work, rate: float, seconds: float) -> list[str]:
    flags = {"-t": f"sim={work.url}", "--rate": rate, "--arrivals": "constant", "--duration": f"{seconds}s"}
    flags |= {"--max-tokens": work.tokens, "--warmup": 0, "--prompt": "How late are you?", "--out": work.out}
    pairs = [str(part) for pair in flags.items() for part in pair]
    return [str(python), "-m", "lmx_loadgen", "run", "--no-calibrate", *pairs]


def _guidellm(python: Path, work: Work, rate: float, seconds: float) -> list[str]:
    return [
        *(str(python.with_name("guidellm")), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={work.url},model={work.model}"),
        *("--profile", f"kind=constant,rate={rate:g}"),
        *("--constraint", f"kind=max_requests,count={work.requests}"),
        *("--data", f"kind=json_file,path={work.prompts}"),
        *("--tokenizer", f"kind=huggingface_auto,model={work.scratch / 'tok'}"),
        *("--output", f"kind=json,path={work.out}.json"),
    ]


def _aiperf(python: Path, work: Work, rate: float, seconds: float) -> list[str]:
    return [
        *(str(python.with_name("aiperf")), "profile", "-m", work.model, "--url", work.url),
        *("--endpoint-type", "chat", "--streaming", "--use-server-token-count", "--tokenizer", "tok"),
        *("--request-rate", f"{rate:g}", "--arrival-pattern", "constant", "--request-count", str(work.requests)),
        *("--input-file", str(work.prompts), "--custom-dataset-type", "single_turn"),
        *("--artifact-dir", str(work.out)),
    ]


COMMANDS: dict[str, Command] = {"lmx-loadgen": _ours, "GuideLLM": _guidellm, "AIPerf": _aiperf}


def off_schedule_ms(came_ns: Sequence[int], rate: float) -> tuple[float, float, float]:
    """The rate that was reached by all but the first and the last hundredth, since tools ask a little first, and the
    median and the 99th percentile of how far requests came off the schedule."""
    came = np.sort(np.asarray(came_ns, dtype=np.float64)) / 1e9
    behind = came - np.arange(len(came)) / rate
    off = np.abs(behind - np.median(behind)) * 1e3
    first, last = (round(share * (len(came) - 1)) for share in (0.01, 0.99))
    return (last - first) / float(came[last] - came[first]), *(float(np.percentile(off, p)) for p in (50, 99))


def measured(name: str, python: Path, rate: float, seconds: float) -> str:
    """One tool's line."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        scratch, log = Path(folder) / "tool", Path(folder) / "truth.jsonl"
        scratch.mkdir()
        with start(SimSettings(ttft_ms=1.0, step_ms=1.0, prefill_tok_s=None, dialect="openai", log=str(log))) as sim:
            work = Work(sim.url, "sim-model", 1, round(rate * seconds), TOKENS, scratch)
            prepare(work)
            quiet = {"HF_HUB_OFFLINE": "1"} if name != "AIPerf" else {}
            done = subprocess.run(
                COMMANDS[name](python, work, rate, seconds),
                cwd=scratch,
                env={**os.environ, **quiet, "HOME": str(scratch)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
            sim.flush()
        came = [one.received_ns for one in read_truth(log).values() if one.outcome == "complete"]
    if len(came) < 2:
        return f"{name}: no request came; it said: {done.stderr.strip()[-300:]}"
    came = sorted(came)[-work.requests :]  # what came before is what a tool asks first
    reached, middle, high = off_schedule_ms(came, rate)
    return f"{name}: {len(came)} requests, {reached:.1f}/s, off schedule p50 {middle:.3f} ms, p99 {high:.3f} ms"


@click.command(help=__doc__)
@click.option("--guidellm", type=click.Path(path_type=Path))
@click.option("--aiperf", type=click.Path(path_type=Path))
@click.option("--rate", default=500.0, show_default=True)
@click.option("--seconds", default=10.0, show_default=True)
def main(guidellm: Path | None, aiperf: Path | None, rate: float, seconds: float) -> None:
    named = {"GuideLLM": guidellm, "AIPerf": aiperf}
    found = environments({name: path for name, path in named.items() if path is not None})
    for name, python in found.items():
        click.echo(measured(name, python, rate, seconds))


if __name__ == "__main__":
    main()
