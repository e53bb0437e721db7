"""What a user asks of a model beside its speed, from the command line to the result."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from tests.helpers.cli import lmx_loadgen

LMX = SimSettings(dialect="lmx", ttft_ms=5.0, prefill_tok_s=None, step_ms=2.0, skills=("echo",), admin_key="adm")
SMALL = ("-n", "3", "-c", "1,2", "--max-tokens", "8", "--warmup", "0", "--no-calibrate")


@pytest.fixture(scope="module")
def lmx() -> Iterator[SimProcess]:
    with start(LMX) as sim:
        yield sim


def target_of(out: Path) -> dict[str, Any]:
    (folder,) = out.iterdir()
    (target,) = json.loads((folder / "result.json").read_text())["targets"]
    return dict(target)


def test_everything_at_once(lmx: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen(
        *("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path, "--tool-call"),
        *("--skill", "echo", "--skill", "nope", "--server-benchmark", "-v"),
        env={"LMX_ADMIN_KEY": "adm"},
    )
    assert result.exit_code == 0, result.output
    target = target_of(tmp_path)
    stats = target["benchmark"]["stats"]

    assert [call["form"] for call in target["tool_calls"]] == ["tool_calls"]
    assert stats["tool_call"] == target["tool_calls"][0]
    assert [(skill["skill_name"], skill["error"] is None) for skill in stats["skills"]] == [
        ("echo", True),
        ("nope", False),
    ]
    (own,) = target["server_benchmarks"]
    assert (own["backend"], own["stats"]["toks_per_sec_mean"]) == ("MLXLMBackend", 500.0)
    assert own["stats"]["runs_completed"] == 3
    assert target["benchmark"]["prompt_preview"][:40] in own["prompt_preview"]  # the run's own, behind a fresh nonce
    stability = target["levels"][1]["quality"]["stability"]
    assert (stability["answers"], stability["same"]) == (2, 2)
    assert target["levels"][0]["quality"]["stability"] is None
    words = " ".join(result.output.split())
    assert "tool call get_weather: right in" in words
    assert "skill echo: done in" in words
    assert "skill nope: the server has no such skill (it has: echo)" in words
    assert "its own benchmark says: 500.0 tok/s, TTFT 5.0 ms (medians of 3 runs)" in words
    assert "Answers are identical at concurrency 1 and 2." in words
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if not line.startswith(("stored in", "next: ")))


def test_without_an_admin_key_the_servers_benchmark_is_a_note(lmx: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen(
        *("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path, "--server-benchmark"),
        env={"LMX_ADMIN_KEY": "", "HOME": str(tmp_path / "nobody")},
    )

    assert result.exit_code == 0, result.output
    assert "the server's own benchmark: needs an admin key: put it in LMX_ADMIN_KEY" in target_of(tmp_path)["notes"]


def test_a_wrong_admin_key_is_a_note_too_and_stands_nowhere(lmx: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen(
        *("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path, "--server-benchmark"),
        env={"LMX_ADMIN_KEY": "wrong-secret"},
    )

    assert result.exit_code == 0, result.output
    assert target_of(tmp_path)["notes"] == ["the server's own benchmark: HTTP 403: Invalid or missing admin key"]
    (folder,) = tmp_path.iterdir()
    assert not any("wrong-secret" in path.read_text() for path in folder.iterdir())
    assert "wrong-secret" not in result.output


def test_plain_runs_ask_for_nothing_but_load(lmx: SimProcess, tmp_path: Path) -> None:
    lmx_loadgen("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path, "--no-stability")
    target = target_of(tmp_path)

    assert (target["tool_calls"], target["skills"], target["server_benchmarks"]) == ([], [], [])
    assert target["levels"][1]["quality"]["stability"] is None
    assert target["levels"][1]["quality"]["answers"] == 3


def test_answers_are_not_held_against_each_other_where_they_are_drawn_by_lot(lmx: SimProcess, tmp_path: Path) -> None:
    lmx_loadgen("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path, "--temperature", "0.7")

    assert target_of(tmp_path)["levels"][1]["quality"]["stability"] is None


TOOLS = """
name: mine
load: {concurrency: 1, requests: 2, warmup: 0}
request: {max_tokens: 8}
checks:
  include_tool_call: true
  include_skills: [echo, {name: default/other, arguments: {text: hi}}]
  tool_calls:
    - prompt: Set a timer for three minutes.
      expect: set_timer
      tools:
        - type: function
          function:
            name: set_timer
            parameters: {type: object, properties: {minutes: {type: integer}}, required: [minutes]}
    - prompt: And now the weather.
      expect: get_weather
      tools:
        - {type: function, function: {name: get_time}}
        - {type: function, function: {name: get_weather}}
"""


def test_a_profile_brings_its_own_tools_and_prompts(lmx: SimProcess, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(TOOLS)
    result = lmx_loadgen("run", "-p", profile, "-t", f"lmx={lmx.url}", "--out", tmp_path / "out", "--no-calibrate")
    assert result.exit_code == 0, result.output
    timer, weather = target_of(tmp_path / "out")["tool_calls"]

    assert (timer["expected_tool_name"], timer["tool_name_correct"], timer["params_match_schema"]) == (
        "set_timer",
        True,
        True,
    )
    # The simulator always calls the first tool.
    assert (weather["call_produced"], weather["tool_name_correct"]) == (True, False)
    assert "it called get_time" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("expect: set_timer", "`expect` must name one of the tools"),
        ("type: object", "are no JSON schema"),
        ("type: integer", "have a `pattern`, which could take for ever"),
        ("name: set_timer\n", "each of `tools` must have a `function` with a `name`"),
        ("include_skills: [echo,", "checks.include_skills"),
    ],
)
def test_a_mistake_in_the_checks_is_named_by_file_and_key(tmp_path: Path, change: str, said: str) -> None:
    wrong = {
        "expect: set_timer": "expect: set_tmer",
        "type: object": "type: objekt",
        "type: integer": "pattern: a+",
        "name: set_timer\n": "title: set_timer\n",
        "include_skills: [echo,": "include_skills: ['../../admin',",
    }
    profile = tmp_path / "mine.yaml"
    profile.write_text(TOOLS.replace(change, wrong[change], 1))
    result = lmx_loadgen("run", "-p", profile, "--dry-run")

    assert result.exit_code == 3
    assert said in result.stderr
    assert str(profile) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_plan_says_what_is_asked_for_afterwards(tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-p", "plan", "--skill", "echo", "--dry-run")

    assert "then, of each target: a tool call, skills echo" in result.output


def test_what_is_expected_is_said_before_and_stored(lmx: SimProcess, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("sim-1b: {aliases: [sim-model], opta_lmx: {toks_per_sec: 9, source: my notes, hardware: my box}}\n")
    result = lmx_loadgen("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path / "out", "--reference", mine)
    assert result.exit_code == 0, result.output
    expected = target_of(tmp_path / "out")["hypothesis"]

    assert "lmx: No published figure" in " ".join(result.stderr.split())
    # The chip of "my box" is not known, so its figure is shown and not expected.
    assert expected["kind"] == "none"
    assert [figure["toks_per_sec"] for figure in expected["figures"]] == [9.0]


def test_a_reference_file_that_cannot_be_used_stops_the_run(lmx: SimProcess, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("m: {ollama: {toks_per_sec: 9}}\n")
    result = lmx_loadgen("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path / "out", "--reference", mine)

    assert result.exit_code == 3
    assert "m.ollama.0.source: field required" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_wrong_skill_is_a_wrong_flag() -> None:
    result = lmx_loadgen("run", "--skill", "../admin", "--dry-run")

    assert result.exit_code == 2
    assert "--skill" in result.stderr


@pytest.mark.slow
def test_a_run_that_goes_on_asks_only_what_was_not_asked(lmx: SimProcess, tmp_path: Path) -> None:
    """Killed after its first check: what is there stays, and what is missing is made up for."""
    result = lmx_loadgen(
        *("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path, "--tool-call", "--skill", "echo", "--skill", "nope")
    )
    assert result.exit_code == 0, result.output
    (folder,) = tmp_path.iterdir()
    log = folder / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    first = next(place for place, line in enumerate(lines) if '"type":"check"' in line)
    log.write_text("".join(lines[: first + 1]))

    resumed = lmx_loadgen("run", "--resume", folder)

    assert resumed.exit_code == 0, resumed.output
    target = target_of(tmp_path)
    assert len(target["tool_calls"]) == 1
    assert [skill["skill_name"] for skill in target["skills"]] == ["echo", "nope"]
    again = log.read_text().splitlines(keepends=True)
    assert again[: first + 1] == lines[: first + 1]
    assert sum('"type":"request"' in line for line in again) == sum('"type":"request"' in line for line in lines)


def test_a_half_done_comparison_of_answers_is_done_again_as_a_whole(lmx: SimProcess, tmp_path: Path) -> None:
    lmx_loadgen("run", "-t", f"lmx={lmx.url}", *SMALL, "--out", tmp_path)
    (folder,) = tmp_path.iterdir()
    log = folder / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    alone = next(place for place, line in enumerate(lines) if '"phase":"stability"' in line)
    end_of_alone = next(place for place in range(alone, len(lines)) if '"type":"segment"' in lines[place])
    log.write_text("".join(lines[: end_of_alone + 1]))

    resumed = lmx_loadgen("run", "--resume", folder)

    assert resumed.exit_code == 0, resumed.output
    stability = target_of(tmp_path)["levels"][1]["quality"]["stability"]
    assert (stability["answers"], stability["same"]) == (2, 2)
    asked = [json.loads(line) for line in log.read_text().splitlines() if '"phase":"stability"' in line]
    nonces = [line["nonce"] for line in asked if line["type"] == "request"]
    assert len(nonces) == 4
    assert nonces[0] != nonces[1] == nonces[2] == nonces[3]
