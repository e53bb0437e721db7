"""A real Opta-LMX, as recorded, under any name: its counts are not exact, and its "busy" is an error."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import lmx_loadgen
from tests.helpers.hostile_server import Asked, Told, answering, as_json
from tests.helpers.paths import ROOT
from tests.helpers.recorded import recorded

SHORT = ("-c", "1", "-n", "2", "--warmup", "0", "--no-calibrate", "--quiet")
BUSY = "Server is busy"


def shown(name: str) -> Told:
    """One of the server's answers outside generation, as the simulator's tests have it."""
    raw = (ROOT / "tests" / "sim" / "recorded" / f"lmx-{name}.http").read_bytes()
    return as_json(json.loads(raw.partition(b"\r\n\r\n")[2]))


def told(name: str) -> Told:
    """One of its recorded answers to a generation."""
    raw = recorded(f"opta-lmx/{name}")
    headers = [("Content-Type", value.encode()) for key, value in raw.headers if key == "content-type"]
    return Told(raw.body, raw.status or 0, headers)


def measured(target: str, answer: str, endpoint: str, out: Path) -> dict[str, Any]:
    """What a run of this target says of such an answer."""
    paths = {"/v1/discovery": "discovery", "/.well-known/opta-lmx": "discovery", "/v1/models": "models"}

    def server(asked: Asked) -> Told:
        if asked.number >= 0:
            return told(answer)
        return shown(paths[asked.path]) if asked.path in paths else as_json({"detail": "Not Found"}, 404)

    with answering(server) as url:
        flags = ("-t", target.replace("URL", url), *SHORT, "--endpoint", endpoint, "--out", out)
        done = lmx_loadgen("run", *flags)
    (folder,) = out.iterdir()
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    (found,) = json.loads((folder / "result.json").read_text("utf-8"))["targets"]
    (level,) = found["levels"]
    requests = [line for line in lines if line["type"] == "request" and line["phase"] == "measured"]
    return {
        "exit": done.exit_code,
        "dialect": found["dialect"],
        "basis": (level["token_basis"], level["token_basis_exact"]),
        "outcomes": [(line["outcome"], line["status"], line["reason"]) for line in requests],
    }


@pytest.mark.parametrize("name", ["box=URL", "openai=URL", "URL"])
@pytest.mark.parametrize(
    ("answer", "endpoint"),
    [
        ("chat-stream-usage-max8", "chat"),
        ("busy-queued-timeout-completions-stream", "completions"),
        ("busy-queued-timeout-nonstream", "chat"),
        ("busy-inference-timeout-10s-stream", "chat"),
    ],
)
def test_under_a_name_of_its_own_it_is_measured_as_under_lmx(
    name: str, answer: str, endpoint: str, tmp_path: Path
) -> None:
    under_lmx = measured("lmx=URL", answer, endpoint, tmp_path / "lmx")
    found = measured(name, answer, endpoint, tmp_path / "other")

    assert found["dialect"] == "lmx"
    assert found == under_lmx
    if answer.startswith("busy"):
        assert {outcome for outcome, _, _ in found["outcomes"]} <= {"stream_error", "http_error"}
        assert found["exit"] == 20
    else:
        assert [outcome for outcome, _, _ in found["outcomes"]] == ["ok", "ok"]
        assert found["basis"][1] is False
    if answer.startswith("busy-queued"):
        assert all(BUSY in reason for _, _, reason in found["outcomes"])
