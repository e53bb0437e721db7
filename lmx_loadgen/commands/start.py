"""Starts `run`: the simulator, where it is to be measured, comes up while this process imports the rest of the tool."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lmx_loadgen.system import collecting

# What the simulator's process needs of the environment. It gets nothing else: keys are not for it.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME")


def start_run(flags: Mapping[str, Any]) -> int:
    """`run` with these flags; its exit code. Raises LoadgenError."""
    with _simulator(flags) as start_sim:
        with collecting.paused():
            from lmx_loadgen.commands.run import run_command
        return run_command(flags, start_sim)


@contextmanager
def _simulator(flags: Mapping[str, Any]) -> Iterator[Any]:
    """What gives a run its simulator: the first is one that is starting already, where flags say that it is needed."""
    if "sim" not in flags["targets"] or flags["dry_run"] or flags["resume"] or flags["server_cmds"]:
        yield None
        return
    with collecting.paused():
        from lmx_loadgen.sim.presets import DEMO, start_demo
        from lmx_loadgen.sim.process import LaunchedSim, SimProcess
    ahead = [LaunchedSim(DEMO, {name: os.environ[name] for name in _PASSED_ON if name in os.environ})]

    def start_sim(environment: Mapping[str, str]) -> SimProcess:
        return ahead.pop().ready() if ahead else start_demo(environment)

    try:
        yield start_sim
    finally:
        for unused in ahead:
            unused.close()
