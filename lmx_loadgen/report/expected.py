"""What was measured as a share of what was expected, on the page as in the terminal."""

from collections.abc import Mapping
from typing import Any

from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.published import LONG_CONTEXT
from lmx_loadgen.report.baselines import unsound
from lmx_loadgen.report.view import Level, prompt_tokens, stat


def share_of_expected(target: Mapping[str, Any], level: Level) -> str | None:
    """`98 % of what was published (Ollama GGUF 4bit)`, of a level's mean decode rate.

    None where there is nothing to expect, or the level's figures are unsound or of other work than what was published.
    """
    hypothesis = target.get("hypothesis") or {}
    expected, measured = hypothesis.get("toks_per_sec"), stat(level, "decode_tok_s", "mean")
    if not expected or measured is None or unsound(level):
        return None
    least = "" if level.get("token_basis_exact", True) else "at least "  # a chunk of text holds one token or more
    share = f"{least}{percent(measured / expected)}"
    if hypothesis.get("kind") == "bandwidth":
        beyond = ", which shows that the estimate does not hold" if measured > expected else ""
        return f"{share} of what memory allows{beyond}"
    if (prompt_tokens(level) or 0) > LONG_CONTEXT:
        return None
    of = hypothesis.get("of")
    return f"{share} of what was published{f' ({of})' if of else ''}"
