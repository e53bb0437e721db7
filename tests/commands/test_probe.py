"""`lmx-loadgen probe`: the card it prints and keeps, and the runs that use it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import Busy, Unreachable
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.system import lock
from lmx_loadgen.system.folders import CALIBRATION_FOLDER_ENV
from tests.helpers.cli import lmx_loadgen

pytestmark = [pytest.mark.slow]

TINY = ("-c", "1", "-n", "2", "--max-tokens", "4", "--warmup", "0", "--no-calibrate")


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with start(SimSettings(dialect="vllm", ttft_ms=2.0, step_ms=1.0, refuses=("max_tokens",))) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CALIBRATION_FOLDER_ENV, str(folder))
        yield folder / "cards"


@pytest.fixture(scope="module")
def card(sim: SimProcess) -> dict[str, Any]:
    result = lmx_loadgen("probe", f"box={sim.url}", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return dict(json.loads(result.stdout))


def run(sim: SimProcess, out: Path) -> dict[str, Any]:
    result = lmx_loadgen("run", "-t", f"box={sim.url}", *TINY, "--out", out)
    assert result.exit_code == 0, result.stderr
    (folder,) = out.iterdir()
    (target,) = json.loads((folder / "result.json").read_text())["targets"]
    return dict(target)


def test_the_card_says_what_was_refused_and_is_kept(card: dict[str, Any], cards: Path) -> None:
    assert card["fields"]["max_tokens"]["status"] == "refused"
    assert (card["product"], card["version"]) == ("vllm", "0.11.0")
    (path,) = cards.iterdir()
    assert json.loads(path.read_text()) == card


def test_a_run_of_the_same_version_uses_it_stores_it_and_shows_it(
    sim: SimProcess, card: dict[str, Any], tmp_path: Path
) -> None:
    target = run(sim, tmp_path / "runs")

    assert target["server"]["card"] == card
    assert target["levels"][0]["requests"]["ok"] == 2  # it said max_completion_tokens
    assert any(card["probed_at"] in note for note in target["notes"])
    page = tmp_path / "page.html"
    result = lmx_loadgen("plot", "--results-dir", tmp_path / "runs", "--output", page, "--no-open")
    assert result.exit_code == 0, result.stderr
    assert "Dialect card" in page.read_text()


def test_another_version_or_model_does_not(sim: SimProcess, card: dict[str, Any], cards: Path, tmp_path: Path) -> None:
    (path,) = cards.iterdir()
    for number, change in enumerate(({"version": "0.12.0"}, {"model": "other"}, {"schema_version": 99})):
        path.write_text(json.dumps(card | change))
        target = run(sim, tmp_path / str(number))
        assert "card" not in target["server"]
        assert target["levels"][0]["requests"]["ok"] == 2  # one request found it out anew
    path.write_text("{")
    assert "card" not in run(sim, tmp_path / "damaged")["server"]
    path.write_text(json.dumps(card))


def test_a_resumed_run_goes_on_with_the_card_it_began_with(
    sim: SimProcess, card: dict[str, Any], tmp_path: Path
) -> None:
    run(sim, tmp_path)
    (folder,) = tmp_path.iterdir()
    lines = (folder / "events.jsonl").read_text().splitlines()
    (folder / "events.jsonl").write_text(lines[0] + "\n")
    (folder / "result.json").unlink()
    result = lmx_loadgen("run", "--resume", folder)

    assert result.exit_code == 0, result.stderr
    assert json.loads((folder / "result.json").read_text())["targets"][0]["server"]["card"] == card


def test_lines_for_people_and_for_a_server_without_a_version() -> None:
    with start(SimSettings(dialect="mlx-lm", ttft_ms=2.0, step_ms=1.0)) as mlx:
        result = lmx_loadgen("probe", f"box={mlx.url}")

    assert "does not tell its version" in result.stdout
    for name in ("role chunk", "tokens per chunk", "usage", "system role", "prefix cache", "concurrency", "tool calls"):
        assert f"  {name}" in result.stdout


def test_it_disturbs_no_run() -> None:
    with lock.acquire(allow_concurrent=False):
        assert lmx_loadgen("probe", "sim").exit_code == Busy.exit_code


def test_a_target_that_is_not_there(unused_port: int) -> None:
    assert lmx_loadgen("probe", f"box=http://127.0.0.1:{unused_port}").exit_code == Unreachable.exit_code


def test_a_stranger_is_not_asked_eight_times_at_once() -> None:
    result = lmx_loadgen("probe", "box=http://8.8.8.8")

    assert result.exit_code == 2
    assert "--i-own-this-server" in result.stderr
