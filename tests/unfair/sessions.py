"""Runs of several servers against an honest one, over real sockets, and what the audit says of each."""

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lmx_loadgen.session.checks.needle_text import needle_text
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.result import read_result
from tests.helpers.paths import ROOT
from tests.unfair.servers import served

# Answers end by themselves after some fifty tokens; the limit is for the plan, a tenth of whose time checks may take.
_FLAGS = (
    "--blocks", "3", "-n", "15", "--max-tokens", "400", "--pause", "0", "--warmup", "1", "--no-calibrate", "--quiet",
    "--allow-concurrent",
)  # fmt: skip
_PROMPTS, _PROMPT_WORDS = 8, 340


@dataclass(frozen=True)
class Session:
    """Which servers are compared with the first, and the flags of the run."""

    first: str
    others: Sequence[str]
    flags: Sequence[str] = ("-c", "1")


_DRAWN = ("-c", "1", "--temperature", "0.8")
# The longest decides how long it takes: three or four others each.
SESSIONS = (
    Session("Honest", ("HonestCopy", "HalfAnswer", "InflatedUsage")),
    Session("Honest", ("InflatedSometimes", "Padded", "Canned")),
    Session("Honest", ("LastWords", "FirstWords", "MiddleOut")),
    Session("Honest", ("FewerBits", "InventedWords")),
    Session("Honest", ("BodyCache", "SimilarityCache", "PopularCache", "PositionFreeCache")),
    Session("Honest", ("LineFeedFirst", "UnseenFirst", "SignFirst")),
    Session("Honest", ("PhraseFirst", "Poured", "Chunks")),
    Session("Honest", ("IgnoresLimit", "OwnLimit", "AlwaysDraws")),
    Session("Honest", ("IgnoresTemperature", "IgnoresSeed"), _DRAWN),
    Session("Honest", ("CannedUnderLoad",), ("-c", "4")),
    Session("Mlx4Bit", ("Q4KM",)),
)


def all_compared(folder: Path, seed: int) -> dict[str, Comparison]:
    """A run for each session; the comparisons with its first server by the other server's name."""
    folders = [folder / str(place) for place in range(len(SESSIONS))]
    with ThreadPoolExecutor(len(SESSIONS)) as pool:  # servers and clients wait most of the time
        found = list(pool.map(_compared, SESSIONS, folders, [seed] * len(SESSIONS)))
    return {name: one for of_run in found for name, one in of_run.items()}


def _compared(session: Session, folder: Path, seed: int) -> dict[str, Comparison]:
    folder.mkdir()
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": _prompt(seed, place)}) + "\n" for place in range(_PROMPTS)))
    with served([session.first, *session.others]) as urls:
        targets = [word for name, url in urls.items() for word in ("-t", f"{name}={url}")]
        flags = [*_FLAGS, *session.flags, "--prompts", str(prompts), "--seed", str(seed), "--out", str(folder / "runs")]
        command = [sys.executable, "-m", "lmx_loadgen", "run", *targets, *flags]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (run,) = (folder / "runs").iterdir()
    return {one.b.label: one for one in read_result(run).comparisons if one.a.label == session.first}


def _prompt(seed: int, place: int) -> str:
    """A few hundred words without a code in them, and what to do with them."""
    sentences = [one for one in needle_text(f"{seed}/{place}", 0.5, 0).text.split(". ") if "gate" not in one]
    return " ".join([*". ".join(sentences).split()[:_PROMPT_WORDS], f"Tell it again in other words, number {place}."])
