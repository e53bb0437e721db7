"""The error of TTFT of a run that a Ray cluster measures, beside that of a run on one machine.

    python -m tests.benchmarks.cluster [--rounds 3]

Loads the simulator as the calibration does, in turn with one measuring process of this machine, with one node of a Ray
cluster on this machine, and with two, and holds what each saw against the simulator's own log. In each round they take
turns at every concurrency, and each begins once. The nodes share this machine's cores and its clock.
"""

import argparse
from collections import defaultdict
from statistics import median

from lmx_loadgen.calibration import run as calibration
from lmx_loadgen.calibration.pairing import spread
from lmx_loadgen.calibration.run import Stretch, measured, simulator
from lmx_loadgen.session.calibrated import measure
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.calibration import SpreadResult
from tests.helpers.cluster import local_cluster, nodes_up, on_loopback

LEVELS = (Stretch(1, 100, 8, 0.0, ttft_ms=50.0), Stretch(16, 112, 64, 1.0), Stretch(64, 256, 64, 1.0))
STEADY = SimSettings(ttft_ms=calibration.TTFT_MS, step_ms=calibration.STEP_MS, prefill_tok_s=None, engine="independent")


def rounds_of(address: str, rounds: int) -> dict[tuple[int, str], list[SpreadResult]]:
    """The spread of the errors of each round, in seconds, by concurrency and by who measured."""
    ways = {
        "this machine": Options(),
        "one node": Options(cluster=address, nodes=1),
        "two nodes": Options(cluster=address, nodes=2),
    }
    found: dict[tuple[int, str], list[SpreadResult]] = defaultdict(list)
    with simulator(STEADY) as (sim, truth_path):
        for number in range(rounds):
            names = [*ways][number % len(ways) :] + [*ways][: number % len(ways)]
            for level in LEVELS:
                for name in names:
                    _, errors = measured(level, sim, truth_path, measure(ways[name], StopFlag()))
                    of_ttft = spread(errors.ttft)
                    assert of_ttft is not None
                    found[level.concurrency, name].append(of_ttft)
                    print(f"round {number + 1}, C = {level.concurrency}, {name}: {_words(of_ttft)}", flush=True)
    return found


def _words(errors: SpreadResult) -> str:
    return f"{errors.p50 * 1e3:.3f} / {errors.p99 * 1e3:.3f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with on_loopback(), local_cluster(2, own_clocks=False) as cluster:
        nodes_up(cluster, 2)
        found = rounds_of(cluster.address, rounds)
    print(f"\nerror of TTFT, p50 / p99, medians of {rounds} rounds")
    for (concurrency, name), spreads in sorted(found.items()):
        middle, tail = median(one.p50 for one in spreads), median(one.p99 for one in spreads)
        print(f"C = {concurrency:3}  {name:12}  {middle * 1e3:.3f} / {tail * 1e3:.3f} ms")


if __name__ == "__main__":
    main()
