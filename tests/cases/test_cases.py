"""Odd answers from public bug reports, and more of their kinds: each is measured by the real command line.

A case is a folder in `tests/data/cases`: `case.json` says what happened, what is right and what to `expect`; the server
of `tests.helpers.replay` plays it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lmx_loadgen.cli import main
from tests.helpers.replay import ReplayServer, replaying

CASES = Path(__file__).resolve().parent.parent / "data" / "cases"
SMALL = ("--concurrency", "1", "--requests", "2", "--warmup", "0", "--no-calibrate", "--json")


@dataclass
class CaseRun:
    """What one case's run left behind. Without a folder there are no lines and no result."""

    done: Result
    server: ReplayServer
    lines: list[dict[str, Any]]
    result: dict[str, Any]

    @property
    def measured(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == "request" and line["phase"] == "measured"]

    @property
    def target(self) -> dict[str, Any]:
        assert self.result, self.done.stderr
        (target,) = self.result["targets"]
        return dict(target)

    @property
    def level(self) -> dict[str, Any]:
        (level,) = self.target["levels"]
        return dict(level)

    def median(self, metric: str) -> float | None:
        return self.level["metrics"][metric]["p50"]

    def said(self, kind: str) -> set[str]:
        """The whole text of that kind, of each measured answer."""
        return {
            "".join(text for _, event, text in line["events"] if event == kind)
            for line in self.measured
            if line["outcome"] == "ok"
        }

    @property
    def words(self) -> str:
        """All that the user is told of what went wrong."""
        return "\n".join([self.done.stderr, *(str(line["reason"]) for line in self.measured)])


def run_case(folder: Path, case: dict[str, Any], server: ReplayServer, out: Path) -> CaseRun:
    given = [str(folder / word) if (folder / word).is_file() else word for word in case.get("arguments", [])]
    command = ["run", "--target", f"openai={server.base_url}", *SMALL, *given, "--out", str(out)]
    done = CliRunner().invoke(main, command)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    lines: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    for log in out.glob("*/events.jsonl"):
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        result = json.loads((log.parent / "result.json").read_text("utf-8"))
    return CaseRun(done, server, lines, result)


def has_status(run: CaseRun, wanted: str) -> bool:
    if wanted == "any":  # whatever is done about it, it is said in a sentence
        return run.done.exit_code == 0 or "Error: " in run.done.stderr
    outcomes = {line["outcome"] for line in run.measured}
    return outcomes == {"ok"} if wanted == "ok" else "ok" not in outcomes and run.done.exit_code != 0


def noted(run: CaseRun, words: str) -> bool:
    return any(words in note for note in run.level["notes"] + run.target["notes"])


def ttfo_is_later(run: CaseRun, wanted: bool) -> bool:
    ttft, ttfo = run.median("ttft"), run.median("ttfo")
    assert ttft is not None
    return (ttfo is None or ttfo > ttft + 0.01) is wanted


def free_within(run: CaseRun, seconds: float) -> bool:
    first, second = sorted(line["send_ns"] for line in run.measured)[:2]
    return second - first < seconds * 1e9


def calls(run: CaseRun, wanted: int) -> bool:
    (check,) = (line for line in run.lines if line["type"] == "check")
    return len(check["answer"]["tool_calls"]) == wanted


def valid_call(run: CaseRun, wanted: bool) -> bool:
    (found,) = run.target["tool_calls"]
    return wanted is (found["tool_name_correct"] and found["params_match_schema"])


CHECKS: dict[str, Callable[[CaseRun, Any], bool]] = {
    "status": has_status,
    "text": lambda run, wanted: run.said("content") == {wanted},
    "reasoning": lambda run, wanted: run.said("reasoning") == {wanted},
    "words": lambda run, wanted: run.done.exit_code != 0 and wanted in run.words,
    "finish_reason": lambda run, wanted: {line["finish_reason"] for line in run.measured} == {wanted},
    "token_basis": lambda run, wanted: run.level["token_basis"] == wanted,
    "output_tokens": lambda run, wanted: run.median("output_tokens") == wanted,
    "inexact": lambda run, wanted: run.level["token_basis_exact"] is not wanted and bool(run.level["notes"]),
    "noted_or_events": lambda run, wanted: run.level["token_basis"] == "events" or noted(run, "usage"),
    "note": noted,
    "decode_max": lambda run, wanted: (run.median("decode_tok_s") or 0) <= wanted,
    "decode_min": lambda run, wanted: (run.median("decode_tok_s") or 0) >= wanted,
    "ttft_min": lambda run, wanted: (run.median("ttft") or 0) >= wanted,
    "ttfo_after_ttft": ttfo_is_later,
    "free_within_s": free_within,
    "calls": calls,
    "valid": valid_call,
    "not_sent": lambda run, wanted: all(wanted not in json.dumps(body["messages"]) for body in run.server.asked),
}


# A busy machine changes a decode rate. It makes no TTFT shorter, and holds no slot for the seconds that are allowed.
TIMED = {"decode_max", "decode_min"}


def marks_of(path: Path) -> list[pytest.MarkDecorator]:
    expected = json.loads((path / "case.json").read_text(encoding="utf-8"))["expect"]
    return [pytest.mark.timing] if TIMED & set(expected) else []


@pytest.mark.parametrize("name", [pytest.param(path.name, marks=marks_of(path)) for path in sorted(CASES.iterdir())])
def test_case(name: str, tmp_path: Path) -> None:
    folder = CASES / name
    case = json.loads((folder / "case.json").read_text("utf-8"))
    with replaying(folder) as server:
        run = run_case(folder, case, server, tmp_path)
    wrong = [(key, wanted) for key, wanted in case["expect"].items() if not CHECKS[key](run, wanted)]
    assert not wrong, (wrong, case["right"], run.words, run.level["notes"] if run.result else None)
