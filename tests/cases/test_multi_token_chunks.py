"""Events of several tokens: the rate is that of the tokens, whatever they share an event with."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from click.testing import CliRunner

from lmx_loadgen.cli import main
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import Truth, read_truth


def true_rate(truth: Truth) -> float:
    """Tokens a second after the first write of text, by the server's own times."""
    text = [write for write in truth.writes if write.tokens]
    tokens = truth.output_tokens - text[0].tokens
    return tokens / (text[-1].at_ns - text[0].at_ns) * 1e9


@pytest.mark.parametrize(
    ("batching", "max_tokens"),
    [
        ({"stream_interval": 4}, 24),
        ({"stream_interval": 4}, 64),
        ({"tokens_per_chunk": 4}, 64),
        ({"drafted_tokens": 3}, 64),
    ],
)
def test_the_decode_rate_is_of_tokens(batching: dict[str, Any], max_tokens: int, tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    settings = SimSettings(ttft_ms=5.0, step_ms=10.0, prefill_tok_s=None, log=str(log), **batching)
    flags = ("-c", "1", "-n", "8", "--warmup", "0", "--no-calibrate", "--no-stability", "--json")
    with start(settings) as sim:
        command = ["run", "-t", f"openai={sim.base_url}", *flags, "--max-tokens", str(max_tokens)]
        done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "runs")])
        assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "result.json").read_text("utf-8"))
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    measured = {line["response_id"] for line in lines if line["type"] == "request" and line["phase"] == "measured"}
    wanted = median(true_rate(truth) for name, truth in read_truth(log).items() if name in measured)

    (level,) = result["targets"][0]["levels"]
    assert level["token_basis"] == "usage"
    assert level["metrics"]["decode_tok_s"]["p50"] == pytest.approx(wanted, rel=0.025)
