"""Runs the command line against a server and reads what it stored."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StoredRun:
    """A run as a reader of its folder finds it."""

    summary: dict[str, Any]  # what --json printed
    result: dict[str, Any]  # result.json
    header: dict[str, Any]  # the first line of events.jsonl
    requests: list[dict[str, Any]]  # its request lines, warm-ups included
    probes: list[dict[str, Any]]  # those sent beside the levels: of the cache, of stability

    def levels(self) -> list[dict[str, Any]]:
        (target,) = self.result["targets"]
        return list(target["levels"])

    def sample(self, level: int) -> list[dict[str, Any]]:
        """The requests that the level's metrics are made of: measured, ok, outside the first wave if it says so."""
        found = self.levels()[level]
        steady = found["sample"] == "steady" and found["concurrency"] > 1
        sample = [
            request
            for request in self.requests
            if request["load_point"] == found["load_point"]
            and request["phase"] == "measured"
            and request["outcome"] == "ok"
            and not (steady and request["first_wave"])
        ]
        assert sample, f"level {level} has no request that counts"
        return sample


def run_cli(out: Path, *arguments: str) -> StoredRun:
    """`lmx-loadgen run … --out out --json`, which must succeed, and its stored run."""
    command = [sys.executable, "-m", "lmx_loadgen", "run", *arguments, "--out", str(out), "--json", "--no-calibrate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = out.iterdir()
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    run = StoredRun(
        summary=json.loads(done.stdout),
        result=json.loads((folder / "result.json").read_text("utf-8")),
        header=lines[0],
        requests=[line for line in lines if line["type"] == "request" and line["phase"] in ("warmup", "measured")],
        probes=[line for line in lines if line["type"] == "request" and line["phase"] in ("probe", "stability")],
    )
    assert run.requests  # or else tests that look at each would find nothing wrong
    return run


def answer_text(request: dict[str, Any]) -> str:
    return "".join(text for _, kind, text in request["events"] if kind == "content")


def text_times(request: dict[str, Any]) -> list[float]:
    """When each text event arrived, in seconds after the request was sent."""
    kinds = ("content", "reasoning", "tool")
    return [request["arrivals"][arrival][0] / 1e9 for arrival, kind, _ in request["events"] if kind in kinds]
