"""Runs of several servers against an honest one, over real sockets, and what the audit says of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmx_loadgen.session.checks.needle_text import needle_text
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.result import read_result
from tests.helpers.cli import lmx_loadgen
from tests.unfair.servers import served

# Answers end by themselves after some fifty tokens; the limit is for the plan, a tenth of whose time checks may take.
_FLAGS = (
    "--blocks",
    "3",
    "-n",
    "24",
    "--max-tokens",
    "400",
    "--pause",
    "0",
    "--warmup",
    "1",
    "--no-calibrate",
    "--quiet",
)
_PROMPTS, _PROMPT_WORDS = 8, 340


@dataclass(frozen=True)
class Session:
    """Which servers are compared with the first, and the flags of the run."""

    first: str
    others: Sequence[str]
    flags: Sequence[str] = ("-c", "1")


_DRAWN = ("-c", "1", "--temperature", "0.8")
SESSIONS = (
    Session("Honest", ("HonestCopy", "HalfAnswer", "InflatedUsage", "InflatedSometimes", "Padded")),
    Session("Honest", ("LastWords", "FirstWords", "MiddleOut", "FewerBits", "InventedWords", "Canned")),
    Session("Honest", ("BodyCache", "SimilarityCache", "PopularCache", "PositionFreeCache")),
    Session("Honest", ("LineFeedFirst", "UnseenFirst", "SignFirst", "PhraseFirst", "Poured", "Chunks")),
    Session("Honest", ("IgnoresLimit", "OwnLimit", "AlwaysDraws")),
    Session("Honest", ("IgnoresTemperature", "IgnoresSeed"), _DRAWN),
    Session("Honest", ("CannedUnderLoad",), ("-c", "4")),
    Session("Mlx4Bit", ("Q4KM",)),
)


def compared(session: Session, folder: Path, seed: int) -> dict[str, Comparison]:
    """One run; its comparisons by the other server's name."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": _prompt(seed, place)}) + "\n" for place in range(_PROMPTS)))
    with served([session.first, *session.others]) as urls:
        targets = [word for name, url in urls.items() for word in ("-t", f"{name}={url}")]
        flags = (*_FLAGS, *session.flags, "--prompts", prompts, "--seed", seed, "--out", folder / "runs")
        result = lmx_loadgen("run", *targets, *flags)
    assert result.exit_code == 0, result.output
    (run,) = (folder / "runs").iterdir()
    return {comparison.b.label: comparison for comparison in read_result(run).comparisons}


def _prompt(seed: int, place: int) -> str:
    """A few hundred words without a code in them, and what to do with them."""
    sentences = [one for one in needle_text(f"{seed}/{place}", 0.5, 0).text.split(". ") if "gate" not in one]
    return " ".join([*". ".join(sentences).split()[:_PROMPT_WORDS], f"Tell it again in other words, number {place}."])
