"""Simulators that the tests of this room share: one of each dialect, quick and silent."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings

QUICK: dict[str, Any] = {"ttft_ms": 2.0, "step_ms": 1.0, "prefill_tok_s": None, "fault_seconds": 0.2}


@pytest.fixture(scope="session")
def sim_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., SimProcess]]:
    """A running simulator with the settings asked for; the same settings get the same one."""
    running: dict[str, SimProcess] = {}
    folder = tmp_path_factory.mktemp("truth")

    def get(**settings: Any) -> SimProcess:
        key = repr(sorted(settings.items()))
        if key not in running:
            running[key] = start(SimSettings(**(QUICK | {"log": str(folder / f"{len(running)}.jsonl")} | settings)))
        return running[key]

    yield get
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(SimProcess.stop, running.values()))
