"""The plan's report on nothing but the plan's own result files."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result

from lmx_loadgen.store.imported import OURS
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.store.result import BenchmarkResult
from tests.helpers.cli import lmx_loadgen
from tests.helpers.paths import DATA
from tests.helpers.plan_results import whole

RECORDED = DATA / "opta-lmx" / "admin-benchmark-results.json"
REFERENCE = """
mlx-community/Qwen2.5-7B:
  lm_studio: {toks_per_sec: 80.25, ttft_sec: 0.125, source: a blog, hardware: M2 Ultra}
  ollama: {toks_per_sec: 61.5, source: a forum, hardware: M4 Max}
other/model:
  ollama: {toks_per_sec: 7654.5, source: a forum, hardware: M4 Max}
"""


def ours(model: str = "mlx-community/Qwen2.5-7B", **stats: object) -> BenchmarkResult:
    """A result as the service stores it: TTFT 250 ms, 40.1 tok/s, on an M2 Ultra."""
    return whole(**stats).model_copy(update={"model_id": model, "origin": OURS})


def plot(folder: Path, reference: Path | None = None, shape: str = "markdown") -> tuple[Result, str]:
    output = folder.parent / f"report.{shape}"
    asked = () if reference is None else ("--reference", reference)
    flags = ("--results-dir", folder, *asked, "--output", output, "--no-open", "--format", shape)
    result = lmx_loadgen("plot", *flags)
    return result, output.read_text(encoding="utf-8") if output.exists() else ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    BenchmarkResultStore(tmp_path / "plan").save(ours())
    return tmp_path / "plan"


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    (tmp_path / "reference.yaml").write_text(REFERENCE)
    return tmp_path / "reference.yaml"


@pytest.mark.parametrize("shape", ["html", "markdown"])
def test_means_and_reference_figures_are_shown(folder: Path, reference: Path, shape: str) -> None:
    result, text = plot(folder, reference, shape)

    assert result.exit_code == 0, result.output
    assert "40.1" in text  # the mean rate
    assert "250" in text  # and the mean TTFT, ms
    for figure in ("80.2", "61.5", "125"):
        assert figure in text
    assert "7,654.5" not in text  # of another model
    # Half as fast as on the same chip; what was measured on another is no difference.
    assert "−50" in text or "-50" in text


def test_without_a_reference_there_is_a_dash(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("other/model: {ollama: {toks_per_sec: 7.5, source: a, hardware: b}}\n")
    result, text = plot(folder, tmp_path / "empty.yaml")
    (row,) = [line for line in text.splitlines() if line.startswith("|") and "40.1" in line and "Qwen" in line][:1]

    assert result.exit_code == 0
    assert row.count("—") >= 2


def test_tokens_that_nobody_counted_are_a_dash(folder: Path, reference: Path) -> None:
    unknown = dict.fromkeys(("toks_per_sec_p50", "toks_per_sec_p95", "toks_per_sec_mean", "output_tokens"))
    BenchmarkResultStore(folder).save(ours("other/model", **unknown, token_counts="unknown"))
    _, text = plot(folder, reference)
    row = next(line for line in text.splitlines() if line.startswith("|") and "other/model" in line)

    assert "| — " in row
    assert "250" in row


def test_what_the_server_measured_of_itself_is_no_difference(tmp_path: Path, reference: Path) -> None:
    (recorded,) = json.loads(RECORDED.read_text())
    recorded |= {"model_id": "mlx-community/Qwen2.5-7B", "hardware": "Apple M2 Ultra"}
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "a.json").write_text(json.dumps(recorded))
    _, text = plot(tmp_path / "plan", reference)

    assert "202.2" in text
    assert "80.2" in text
    assert "%" not in next(line for line in text.splitlines() if line.startswith("|") and "202.2" in line)
    assert "the server measured itself" in text


def test_damaged_files_are_skipped_and_other_json_is_passed_over(folder: Path) -> None:
    (folder / "torn.json").write_text('{"model_id": ')
    (folder / "wrong.json").write_text('{"model_id": "m", "stats": []}')
    (folder / "calibration-abc.json").write_text('{"calibrations": []}')
    result, text = plot(folder)

    assert result.exit_code == 0
    assert "40.1" in text
    assert [word in result.stderr for word in ("torn.json", "wrong.json", "calibration")] == [True, True, False]


def test_a_folder_with_nothing_in_it_is_still_said(tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()

    assert plot(tmp_path / "plan")[0].exit_code == 4


def test_runs_and_files_of_the_plan_are_drawn_together(folder: Path) -> None:
    shutil.copytree(DATA / "runs" / "head-to-head", folder / "head-to-head")
    _, text = plot(folder)

    assert "40.1" in text
    assert "Qwen2.5-7B-Instruct-4bit" in text


def test_our_results_are_not_imported_as_the_servers(folder: Path, tmp_path: Path) -> None:
    """The service keeps them where Opta-LMX keeps its own."""
    shutil.copy(RECORDED, folder / "theirs.json")
    result = lmx_loadgen("results", "import", folder, "--results-dir", tmp_path / "reports")
    rows = json.loads(lmx_loadgen("results", "list", "--results-dir", tmp_path / "reports", "--json").stdout)

    assert result.exit_code == 0
    assert {row["backend"]: row["origin"] for row in rows} == {"lmx": OURS, "MLXLMBackend": "opta-lmx"}


def test_what_the_plan_stores_is_what_the_plan_reads(folder: Path) -> None:
    """One model takes our answer and the one that was recorded of the real server."""
    (recorded,) = json.loads(RECORDED.read_text())
    (path,) = folder.iterdir()

    assert BenchmarkResult.model_validate(recorded).model_dump(exclude={"origin"}) == recorded
    assert BenchmarkResult.model_validate_json(path.read_bytes()) == ours()
