"""`run` and `arun`: measure servers from Python, and get the run that was stored."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack

from lmx_loadgen.api.keywords import Arguments, Keywords, arguments, check_names
from lmx_loadgen.api.runs import Run
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent, View
from lmx_loadgen.session.worker_count import with_calibration
from lmx_loadgen.system import lock
from lmx_loadgen.system.threads import on_thread, on_thread_blocking


def run(*targets: str, **keywords: Unpack[Keywords]) -> Run:
    """Measure servers and store the run, as `lmx-loadgen run` does; nothing is printed without `progress`.

    Targets are written as after `--target`: `"lmx"`, `"ollama"`, an address, `"NAME=URL"`; without one, the built-in
    simulator is measured. Keywords are a profile's keys in plain form and options of `run`: `reference/python.md`.

    It works in a script, in a thread and under an event loop that runs (a notebook), which it blocks meanwhile. Ctrl-C
    ends the run in good order: what was measured is stored, and then KeyboardInterrupt is raised. A run that was cut
    short for its errors is returned like others, with its `reason`.

    Raises TypeError for an unknown keyword, and a LoadgenError for whatever keeps it from being measured.
    """
    check_names("run", keywords)
    stop = StopFlag()
    return on_thread_blocking(partial(_measured, targets, keywords, stop, Path.cwd()), stop.set)


async def arun(*targets: str, **keywords: Unpack[Keywords]) -> Run:
    """The same as `run` for a coroutine: the event loop goes on meanwhile. A task that is cancelled stops the run in
    good order: what was measured is stored, and then the cancellation goes on."""
    check_names("arun", keywords)
    stop = StopFlag()
    return await on_thread(partial(_measured, targets, keywords, stop, Path.cwd()), stop.set)


def _measured(targets: Sequence[str], keywords: Keywords, stop: StopFlag, base_dir: Path) -> Run:
    asked = arguments(targets, keywords)
    with lock.acquire(allow_concurrent=asked.allow_concurrent) as locked, _view(asked) as view:
        for warning in locked.warnings:
            view.say(warning)
        options = replace(asked.options.below(base_dir), lock=locked)
        options, calibrated = with_calibration(
            options, asked.profile, stop, view, chooses_workers=asked.chooses_workers, calibrates=asked.calibrate
        )
        outcome = run_blocking(
            asked.profile, options=options, stop=stop, base_dir=base_dir, view=view, calibrated=calibrated
        )
    return Run(outcome.folder, outcome.result)


@contextlib.contextmanager
def _view(asked: Arguments) -> Iterator[View]:
    """What is shown meanwhile: nothing, or what the command line shows."""
    if not asked.progress:
        yield Silent()
        return
    from rich.console import Console

    from lmx_loadgen.report.progress import ProgressView

    with ProgressView(Console(stderr=True)) as view:
        yield view
