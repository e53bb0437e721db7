"""Coverage-guided fuzzing of every reader of what comes from outside.

    pip install -e '.[fuzz]'
    python -m tests.fuzz --seconds 60            # every entry for a minute
    python -m tests.fuzz sse --seconds 600       # one of them

Each entry runs in a process of its own. Prints how often each was run; exits with 1 when something other than the
package's own errors came out, and keeps the input that did it.
"""

import argparse
import inspect
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fuzz.entries import ENTRIES
from tests.fuzz.seeds import seeds


def fuzz(entry: str, corpus: str, seconds: int) -> None:
    """Run one entry in this process until the time is up. Does not return: libFuzzer ends the process."""
    import atheris

    _instrument(atheris)
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], corpus, f"-artifact_prefix={corpus}/../", *limits], ENTRIES[entry])
    atheris.Fuzz()


def _instrument(atheris: Any) -> None:
    """The package's own functions, which are imported already: all others would only slow it down."""
    for name, module in list(sys.modules.items()):
        if name.startswith("lmx_loadgen."):
            for key, value in list(vars(module).items()):
                if inspect.isfunction(value) and value.__module__ == name:
                    setattr(module, key, atheris.instrument_func(value))
                elif inspect.isclass(value) and value.__module__ == name:
                    for own, method in list(vars(value).items()):
                        if inspect.isfunction(method) and not own.startswith("__"):
                            setattr(value, own, atheris.instrument_func(method))


def run_one(entry: str, seconds: int, folder: Path) -> bool:
    """Run one entry in a process of its own; whether nothing was found."""
    corpus = folder / entry / "corpus"
    corpus.mkdir(parents=True)
    for number, data in enumerate(seeds(entry)):
        (corpus / f"seed-{number}").write_bytes(data)
    command = [sys.executable, "-m", "tests.fuzz", entry, "--seconds", str(seconds), "--corpus", str(corpus)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    counts = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
    runs = int(counts[-1]) if counts else 0
    ok = done.returncode == 0
    found = "nothing found" if ok else f"FOUND, input in {corpus.parent}"
    print(f"{entry:12} {runs:>10,} executions in {time.monotonic() - began:4.0f} s: {found}", flush=True)
    if not ok:
        print(done.stdout[-2000:] + done.stderr[-2000:])
    return ok


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the readers.")
    parser.add_argument("entry", nargs="?", choices=sorted(ENTRIES))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.corpus:
        fuzz(chosen.entry, chosen.corpus, chosen.seconds)
        return
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    entries = [chosen.entry] if chosen.entry else list(ENTRIES)
    found = [entry for entry in entries if not run_one(entry, chosen.seconds, folder)]
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
