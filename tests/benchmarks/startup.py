"""How much time a run of many prompts takes until it could send its first request: under a second for 10,000.

    python -m tests.benchmarks.startup

Reads a prompts file, counts what tells whether it changed, puts it in order, and makes the request bodies of a plan of
six blocks of two targets. The time is the processor's, so that others on this machine do not count.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from lmx_loadgen.profile.models import Load, Profile, Prompts
from lmx_loadgen.profile.prompts import prompt_book
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.plan import make_plan
from lmx_loadgen.session.resume import hash_inputs
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

RUNS = 5
MOST = 10_000
LIMIT_S = 1.0
TARGETS = {name: Target(name, DIALECTS[name], "http://127.0.0.1:1/v1", "m", {}) for name in ("lmx", "ollama")}


def write_prompts(folder: Path, count: int) -> Path:
    """A file of so many different prompts, each of about a hundred words."""
    path = folder / f"{count}.jsonl"
    text = " ".join(["Sea otters hold hands while they sleep."] * 14)
    path.write_text("".join(json.dumps({"prompt": f"{number}: {text}"}) + "\n" for number in range(count)))
    return path


def start_up(path: Path) -> int:
    """All that a run does with its prompts before the first request; how many jobs it made."""
    profile = Profile(prompts=Prompts(file=str(path)), load=Load(concurrency=[8]))
    book = prompt_book(profile.prompts, base_dir=path.parent)
    hash_inputs(book, None, path.parent)
    jobs = JobMaker(profile, book, "0123abcd", insecure=False, ca_file=None)
    plan = make_plan(profile, list(TARGETS))
    return sum(len(jobs.jobs(segment, TARGETS[segment.target], 2)) for segment in plan)


def seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return median(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for count in (100, 1_000, MOST):
            path = write_prompts(Path(folder), count)
            took_s = seconds(lambda path=path: start_up(path))  # type: ignore[misc]
            print(f"{count:>6} prompts: {took_s * 1e3:7.1f} ms")
    print("in time" if took_s < LIMIT_S else f"too slow: over {LIMIT_S:g} s")


if __name__ == "__main__":
    main()
