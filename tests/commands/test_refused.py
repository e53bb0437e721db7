"""Servers that refuse a system role, `stream_options` or `max_tokens` are measured, and the result says how."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import TargetResult, read_result
from tests.helpers.cli import SMALL, lmx_loadgen

QUICK = {"ttft_ms": 2.0, "step_ms": 0.5, "prefill_tok_s": None}
SYSTEM = {"role": "system", "content": "You are a pirate."}
TALK = {"messages": [SYSTEM, {"role": "user", "content": "Who are you?"}]}


def measured(out: Path, dialect: str, refuses: tuple[str, ...], *flags: Any) -> tuple[TargetResult, set[str]]:
    """The target's result, and the outcomes of its requests."""
    settings = SimSettings(dialect=dialect, refuses=refuses, **QUICK)  # type: ignore[arg-type]
    with start(settings) as sim:
        done = lmx_loadgen("run", "-t", f"box={sim.url}", *SMALL, *flags, "--out", out / "runs")
    assert done.exit_code == 0, done.output
    (folder,) = (out / "runs").iterdir()
    (target,) = read_result(folder).targets
    return target, {line["outcome"] for line in read_log(folder / "events.jsonl").requests}


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps(TALK) + "\n")
    return path


@pytest.mark.parametrize(
    ("refuses", "notes"),
    [
        ((), []),
        (("system",), []),  # no message is added, so there is none to refuse
        (("stream_options",), ["refuses stream_options, so requests leave it out"]),
        (("max_tokens",), ["refuses max_tokens: requests say max_completion_tokens instead"]),
        (("max_tokens", "stream_options"), ["refuses stream_options", "refuses max_tokens"]),
    ],
)
def test_refused_fields_are_left_out_or_renamed_with_a_note(
    refuses: tuple[str, ...], notes: list[str], tmp_path: Path
) -> None:
    target, outcomes = measured(tmp_path, "vllm", refuses)

    assert outcomes == {"ok"}
    assert len([note for note in target.notes if "refuses" in note]) == len(notes)
    for words in notes:
        assert any(words in note for note in target.notes)
    assert target.levels[0].metrics["output_tokens"].max == 8


def test_a_system_role_that_vllm_refuses_goes_to_the_user_s_turn_with_a_note(talk: Path, tmp_path: Path) -> None:
    target, outcomes = measured(tmp_path, "vllm", ("system",), "--prompts", talk)

    assert outcomes == {"ok"}
    (note,) = [note for note in target.notes if "refuses" in note]
    assert "refuses a system role (System role not supported): its text stands at the head of the user's" in note


@pytest.mark.parametrize(("dialect", "refuses"), [("vllm", ()), ("llamacpp", ("system",))])
def test_a_system_role_that_is_taken_or_merged_by_the_server_stays(
    dialect: str, refuses: tuple[str, ...], talk: Path, tmp_path: Path
) -> None:
    target, outcomes = measured(tmp_path, dialect, refuses, "--prompts", talk)

    assert outcomes == {"ok"}
    assert not any("system" in note for note in target.notes)
