"""Each way to cheat is refused or flagged by the right check in the right words, and honest servers are not.

One seed each in CI; three more by hand: pytest -m slow tests/unfair
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lmx_loadgen.analysis.comparison.audit import AT_LEVEL, OF_WHOLE
from lmx_loadgen.analysis.comparison.blocks import COMPARED, figures_of
from lmx_loadgen.store.comparison import AuditLine, Comparison
from tests.helpers.paths import ROOT
from tests.unfair.sessions import SESSIONS, all_compared
from tests.unfair.ways import WAYS

pytestmark = pytest.mark.timing

# No SLO is set.
ALL = frozenset(name for name, one in COMPARED.items() if not one.of_slo)
FIRST_TEXT = ALL & {*figures_of("ttft", "decode_tok_s", "longest_stall")}
GAPS = ALL & {*figures_of("decode_tok_s", "longest_stall")}
TOKENS = ALL - {*figures_of("ttft")}
LENGTH = TOKENS - {*figures_of("decode_tok_s")}
NOTHING: frozenset[str] = frozenset()
BY_HAND = [
    pytest.param(seed, marks=[pytest.mark.slow, pytest.mark.skipif("CI" in os.environ, reason="by hand")])
    for seed in (2, 3, 4)
]


@dataclass(frozen=True)
class Caught:
    """By which check, with what status, in which words, and the figures that are refused for it."""

    key: str
    words: str
    figures: frozenset[str]
    status: str = "failed"


CAUGHT: dict[str, Caught] = {
    "HalfAnswer": Caught("characters_per_token", "HalfAnswer counts tokens that nobody received", TOKENS),
    "InflatedUsage": Caught("characters_per_token", "InflatedUsage counts tokens that nobody received", TOKENS),
    "InflatedSometimes": Caught("characters_per_token", "InflatedSometimes counts tokens that nobody received", TOKENS),
    "Padded": Caught("characters_per_token", "Padded counts tokens that nobody received", TOKENS),
    "LastWords": Caught("needle", "LastWords does not read the whole prompt, but reports", ALL),
    "FirstWords": Caught("needle", "FirstWords does not read the whole prompt, but reports", ALL),
    "MiddleOut": Caught("needle", "MiddleOut does not read the whole prompt, but reports", ALL),
    "BodyCache": Caught("cache_new_nonce", "BodyCache answers a text it has answered before under a new nonce", ALL),
    "SimilarityCache": Caught("cache_new_nonce", "SimilarityCache answers a text it has answered before", ALL),
    "PopularCache": Caught("cache_new_nonce", "PopularCache answers the prompts of this run under a new nonce", ALL),
    "PositionFreeCache": Caught("cache_new_nonce", "a cache that ignores the nonce answers the load", ALL),
    "LineFeedFirst": Caught(
        "visible_text", "begin with white space: TTFT is to the first visible text", NOTHING, "passed"
    ),
    "UnseenFirst": Caught("visible_text", "begin with characters that nobody sees", FIRST_TEXT),
    "SignFirst": Caught("visible_text", "SignFirst sends its first text after", FIRST_TEXT),
    "PhraseFirst": Caught("visible_text", "PhraseFirst sends its first text after", FIRST_TEXT),
    "Poured": Caught("visible_text", "its text is held back, and its decode rate is that of the wire", GAPS),
    "Chunks": Caught("visible_text", "Chunks sends about 8 tokens at a time", NOTHING, "passed"),
    "FewerBits": Caught("quantization", "and the same requests got other answers", NOTHING, "unknown"),
    "InventedWords": Caught("overlap", "the two do not answer alike", ALL),
    "Canned": Caught("overlap", "the two do not answer alike", ALL),
    "CannedUnderLoad": Caught("overlap", "the two do not answer alike", ALL),
    "IgnoresLimit": Caught("ignored_settings", "IgnoresLimit ignores max_tokens", LENGTH),
    "OwnLimit": Caught("ignored_settings", "OwnLimit ignores max_tokens", LENGTH),
    "IgnoresTemperature": Caught("ignored_settings", "IgnoresTemperature ignores temperature", TOKENS),
    "AlwaysDraws": Caught("ignored_settings", "AlwaysDraws ignores temperature", TOKENS),
    "IgnoresSeed": Caught("ignored_settings", "IgnoresSeed ignores seed", LENGTH),
}
# Where a busy machine moved figures, that is no server's doing.
OF_THE_MACHINE = {"tainted"}

Compare = Callable[[str, int], Comparison]


@pytest.fixture(scope="module")
def comparison() -> Compare:
    """The comparison of a server with an honest one. The runs of a seed are made once, for all servers."""
    found: dict[int, dict[str, Comparison]] = {}

    def of(name: str, seed: int) -> Comparison:
        if seed not in found:
            with tempfile.TemporaryDirectory() as folder:
                found[seed] = all_compared(Path(folder), seed)
        return found[seed][name]

    return of


def line_of(found: Comparison, key: str) -> AuditLine:
    (line,) = [line for line in found.audit if line.key == key]
    return line


def refused(found: Comparison) -> set[str]:
    return {name for name, one in found.levels[0].metrics.items() if one.reason_code == "audit"}


@pytest.mark.parametrize("seed", [1, *BY_HAND])
@pytest.mark.parametrize("way", CAUGHT)
def test_a_way_to_cheat_is_caught(way: str, seed: int, comparison: Compare) -> None:
    caught, found = CAUGHT[way], comparison(way, seed)
    line = line_of(found, caught.key)

    assert (line.status, caught.words in line.sentence) == (caught.status, True), line
    assert refused(found) >= caught.figures


@pytest.mark.parametrize("seed", [1, *BY_HAND])
def test_an_honest_copy_gets_verdicts_and_no_flag(seed: int, comparison: Compare) -> None:
    found = comparison("HonestCopy", seed)
    flagged = [line for line in found.audit if line.status == "failed" or line.sentence]
    expected = {"quantization"}  # passed: its answers are identical

    assert {line.key for line in flagged} - OF_THE_MACHINE - {"carry_over"} == expected
    assert line_of(found, "quantization").status == "passed"
    assert refused(found) == set()


@pytest.mark.parametrize("seed", [1, *BY_HAND])
def test_the_pair_that_matters_gets_verdicts(seed: int, comparison: Compare) -> None:
    """MLX 4-bit and Q4_K_M of one model: other templates and other answers, honestly."""
    found = comparison("Q4KM", seed)
    failed = {line.key for line in found.audit if line.status == "failed"} - OF_THE_MACHINE

    assert failed == set()
    assert refused(found) == set()
    assert "template differs" in line_of(found, "prompt_tokens").sentence
    assert line_of(found, "overlap").status == "passed"
    assert line_of(found, "needle").status == "passed"


def test_every_way_is_compared_and_told_in_the_table() -> None:
    text = (ROOT / "reference" / "statistics.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    told = {row[0].removeprefix("| "): row[2].strip("`") for row in rows if row[0].removeprefix("| ") in CAUGHT}

    assert set(CAUGHT) == set(WAYS) == {name for one in SESSIONS for name in one.others} - {"HonestCopy", "Q4KM"}
    assert told == {name: caught.key for name, caught in CAUGHT.items()}
    assert {caught.key for caught in CAUGHT.values()} <= set(AT_LEVEL) | set(OF_WHOLE)
