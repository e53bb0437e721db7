"""Kills the tool at random moments of a run: `python -m tests.benchmarks.kills --seed 2 --kills 40`."""

import argparse
import tempfile
from pathlib import Path

from tests.helpers.killed_runs import KILLS, kill_and_compare


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill the tool at random moments and take its runs up again.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=KILLS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kill_and_compare(Path(folder), chosen.seed, chosen.kills, print)


if __name__ == "__main__":
    main()
