"""How long `POST /admin/benchmark/run` takes beside its requests: the plan allows 50 ms.

    python -m tests.benchmarks.service_overhead

Serves the simulated Opta-LMX's benchmark over real HTTP and asks for it 21 times. Of each call but the first, which
starts the measuring process, it takes the time that the client waited and subtracts the time that the simulator, by
its own log, spent on the call's requests: the probe, the warm-up, five answers of 50 tokens, one of them again in one
piece, and a tool call. What is left is the service's own: finding out who answers, decoding, statistics, and writes
that wait for the disk. Calls are a moment apart: once it has answered, the service writes the run's own result.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from lmx_loadgen.system import folders
from lmx_loadgen.system.clock import NS

CALLS = 20
BETWEEN_S = 0.5
LIMIT_MS = 50.0
ASKED = {"model_id": "sim-model", "num_output_tokens": 50}


@contextmanager
def served(sim: SimProcess, folder: Path) -> Iterator[str]:
    """The address of a service that measures the simulator, and nobody's lock or keys."""
    environment = {**os.environ, "HOME": str(folder), "LMX_ADMIN_KEY": "", folders.LOCK_FOLDER_ENV: str(folder)}
    command = (sys.executable, "-m", "lmx_loadgen", "serve", "--port", "0", "--target", f"lmx={sim.url}")
    results = ("--results-dir", str(folder / "results"))
    process = subprocess.Popen((*command, *results), stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def overheads(calls: int) -> list[float]:
    """Seconds of each call that no request took, the first call left out."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "truth.jsonl"
        settings = SimSettings(dialect="lmx", ttft_ms=5.0, prefill_tok_s=None, step_ms=2.0, log=str(log))
        with start(settings) as sim, served(sim, Path(name)) as url, httpx.Client(timeout=120.0) as client:
            known = 0
            for _ in range(calls + 1):
                time.sleep(BETWEEN_S)
                began = time.perf_counter()
                answer = client.post(f"{url}/admin/benchmark/run", json=ASKED)
                took_s = time.perf_counter() - began
                assert answer.json()["stats"]["runs_completed"] == 5, answer.text
                sim.flush()
                truths = list(read_truth(log).values())
                in_requests_s = sum(one.end_ns - one.received_ns for one in truths[known:]) / NS
                known = len(truths)
                found.append(took_s - in_requests_s)
    return found[1:]


def main() -> int:
    load, taken = os.getloadavg()[0], sorted(seconds * 1e3 for seconds in overheads(CALLS))
    cores = os.cpu_count() or 1
    busy = ": the machine is busy, measure again" if load > cores / 2 else ""
    print(f"overhead: median {median(taken):.1f} ms of {CALLS} calls ({taken[0]:.1f} to {taken[-1]:.1f})")
    print(f"load average {load:.1f} on {cores} cores{busy}")
    print("in time" if median(taken) < LIMIT_MS else f"too slow: over {LIMIT_MS:g} ms")
    return 0 if median(taken) < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
