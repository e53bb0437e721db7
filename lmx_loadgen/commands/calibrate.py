"""`calibrate` from its flags to its output: measure the tool's own error, store it, print it."""

import json
from pathlib import Path

import click
from rich.console import Console

from lmx_loadgen.calibration import run as calibration
from lmx_loadgen.commands.signals import StopSignals
from lmx_loadgen.report.terminal import print_calibration
from lmx_loadgen.session.calibrated import measure
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.store.calibration import store
from lmx_loadgen.system import folders, lock


def calibrate_command(
    *,
    quick: bool,
    workers: int,
    loop: str | None,
    stamps: str | None,
    out: Path | None,
    allow_concurrent: bool,
    as_json: bool,
) -> None:
    """Raises LoadgenError, Interrupted when it was stopped by Ctrl-C."""
    options, stop = Options(loop=loop, stamps=stamps, workers=workers), StopFlag()
    with lock.acquire(allow_concurrent=allow_concurrent) as locked, StopSignals(stop).armed():
        for warning in locked.warnings:
            click.echo(warning, err=True)
        made = calibration.calibrate(
            measure(options, stop),
            is_quick=quick,
            report=lambda words: None if as_json else click.echo(f"{words} …", err=True),
        )
    path = store(out or folders.calibration_folder(), made)
    if as_json:
        click.echo(json.dumps(made.model_dump(mode="json"), indent=1))
    else:
        print_calibration(made, Console())
        click.echo(f"stored in {path}")
