"""`lmx-loadgen results` as a user calls it."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import Result
from pydantic import BaseModel

from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.store.imported import imported_results
from lmx_loadgen.store.plan_result import BenchmarkResultStore, plan_fields
from lmx_loadgen.store.result import BenchmarkResult
from tests.helpers.cli import lmx_loadgen
from tests.helpers.paths import DATA
from tests.helpers.plan_results import whole

OPTA = DATA / "opta-lmx"
OLDEST = OPTA / "minimax-m2.5-6.5bit-2026-02-26.json"
UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


def results(*arguments: object) -> Result:
    result = lmx_loadgen("results", *map(str, arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert not UNSAFE.search(result.output)
    return result


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A results folder with a run of two targets and one of which everything failed."""
    for name in ("head-to-head", "failed"):
        shutil.copytree(DATA / "runs" / name, tmp_path / "reports" / name)
    return tmp_path / "reports"


def rows(reports: Path, *arguments: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(results("list", "--results-dir", reports, "--json", *arguments).stdout)
    return found


# Listing


def test_the_list_has_runs_and_imports_newest_first(reports: Path) -> None:
    results("import", OPTA / "admin-benchmark-results.json", OLDEST, "--results-dir", reports)
    found = rows(reports)

    assert [row["from"] for row in found] == [
        "imported",
        "failed",
        "head-to-head:lmx",
        "head-to-head:ollama",
        "imported",
    ]
    assert [row["number"] for row in found] == [1, 2, 3, 4, 5]
    assert [row["origin"] for row in found] == ["opta-lmx", None, None, None, "opta-lmx-older"]
    assert found[1]["toks_per_sec_mean"] is None
    assert found[2]["ttft_mean_sec"] == pytest.approx(0.18018, rel=1e-3)

    lines = results("list", "--results-dir", reports).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["#", "when", "backend", "tok/s", "TTFT", "ms", "quality", "tools", "status"]
    assert lines[1].split() == ["1", "2026-11-23", "13:57", "MLXLMBackend", "202.2", "46", "ok", "—", "ok"]
    assert lines[3].split() == ["2", "2026-11-23", "09:41", "ollama", "—", "—", "—", "—", "few*"]
    assert lines[6].split() == ["mlx-community/Qwen2.5-7B-Instruct-4bit", "head-to-head:lmx"]
    assert lines[9].split() == ["5", "2026-02-26", "vllm-mlx", "30.0", "3,391", "—", "—", "ok"]
    assert "insufficient_data" in lines[-1]


def test_a_model_is_found_by_a_part_of_its_name_and_keeps_its_number(reports: Path) -> None:
    assert [row["number"] for row in rows(reports, "--model", "INSTRUCT-4BIT")] == [2]
    assert rows(reports, "--model", "no such") == []
    assert "no result of such a model" in results("list", "--results-dir", reports, "--model", "no such").stderr


def test_a_list_of_nothing_is_no_error(tmp_path: Path) -> None:
    result = results("list", "--results-dir", tmp_path / "gone")

    assert (result.exit_code, result.stdout) == (0, "")
    assert rows(tmp_path / "gone") == []


def test_damaged_files_are_skipped_with_a_warning(reports: Path) -> None:
    (reports / "failed" / "result.json").write_text("{")
    (reports / "imported").mkdir()
    (reports / "imported" / "a.json").write_text('{"\\u001b[2J": 1}')
    result = results("list", "--results-dir", reports, "--json")

    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 2
    assert result.stderr.count("skipped: ") == 2


def test_a_run_that_was_killed_before_its_result_was_stored_is_in_the_list(reports: Path) -> None:
    (reports / "head-to-head" / "result.json").unlink()

    assert [row["from"] for row in rows(reports)] == ["failed", "head-to-head:lmx", "head-to-head:ollama"]


def test_tools_pass_or_fail(reports: Path) -> None:
    BenchmarkResultStore(reports / "imported").save(whole())

    assert next(row["tools"] for row in rows(reports) if row["from"] == "imported") == "fail"


# Showing


def test_one_result_in_full(reports: Path) -> None:
    text = results("show", "head-to-head:lmx", "--results-dir", reports).stdout

    assert text.splitlines()[0] == "mlx-community/Qwen2.5-7B-Instruct-4bit"
    assert re.search(r"TTFT ms +182 +212 +180", text)
    assert re.search(r"tokens +— prompt, 22 answer", text)
    assert "A transformer reads all the words" in text
    assert "note" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert results("show", reports / "head-to-head:lmx").stdout == text
    assert results("show", "2", "--results-dir", reports).stdout == text


def test_an_imported_result_says_who_measured_it_and_what_is_wrong_with_it(reports: Path) -> None:
    results("import", OPTA / "admin-benchmark-results.json", "--results-dir", reports)
    (path,) = (reports / "imported").iterdir()
    words = " ".join(results("show", path.name, "--results-dir", reports).stdout.split())

    assert "not by this tool" in words
    for fault in ("best end", "one token too many", "prompt tokens are words"):
        assert fault in words
    assert json.loads(results("show", path.stem, "--results-dir", reports, "--json").stdout)["origin"] == "opta-lmx"
    assert results("show", OPTA / "admin-benchmark-results.json").exit_code == 0


def test_a_file_that_someone_put_among_the_imports_is_not_taken_for_measured_here(reports: Path) -> None:
    BenchmarkResultStore(reports / "imported").save(whole())

    assert [result.origin for result in imported_results(reports)] == ["elsewhere"]
    assert "not measured by this tool" in results("show", "1", "--results-dir", reports).stdout


def test_failures_of_tools_and_skills_have_their_words(reports: Path) -> None:
    BenchmarkResultStore(reports / "imported").save(whole())
    text = results("show", "1", "--results-dir", reports).stdout

    assert "get_weather: its arguments do not fit the tool" in text
    assert "echo: timed out" in text


def test_neither_control_characters_nor_endless_text_reach_the_terminal(reports: Path) -> None:
    shutil.copytree(DATA / "runs" / "hostile", reports / "hostile")
    evil = "\x1b]0;owned\x07\x9b2J\x7f\u202e"
    bad = whole(output_text=evil + "x" * 50_000).model_copy(
        update={"model_id": evil * 50, "backend": evil, "timestamp": evil, "hardware": evil, "prompt_preview": evil}
    )
    path = BenchmarkResultStore(reports / "imported").save(bad)

    results("list", "--results-dir", reports)
    results("show", "hostile:sim", "--results-dir", reports, "--json")
    assert results("show", "hostile:\x1b[2J", "--results-dir", reports).exit_code == 2
    assert len(results("show", path.name, "--results-dir", reports).stdout) < 8000
    shown = json.loads(results("show", path.name, "--results-dir", reports, "--json").stdout)
    assert shown["model_id"] == evil * 50


@pytest.mark.parametrize(
    ("which", "code", "words"),
    [
        ("head-to-head", 2, "head-to-head has 2 results: say which one, of head-to-head:lmx, head-to-head:ollama"),
        ("head-to-head:vllm", 2, "has no target 'vllm', but lmx, ollama"),
        ("9", 2, "no result number 9: the list in"),
        ("0", 2, "no result number 0"),
        ("9" * 5000, 2, "no result number"),
        ("nothing", 4, "neither a run, nor an imported file, nor a number"),
        ("x" * 5000, 4, "xxx"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(reports: Path, which: str, code: int, words: str) -> None:
    result = results("show", which, "--results-dir", reports)

    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


# Importing


def test_a_folder_is_imported_once(reports: Path) -> None:
    first = results("import", OPTA, "--results-dir", reports)
    again = results("import", OPTA, OPTA / "suites.json", "--results-dir", reports)

    assert first.exit_code == again.exit_code == 0
    assert first.stdout.startswith("5 results imported into ")
    assert "0 results imported" in again.stdout
    assert "7 there already" in again.stdout
    assert len(imported_results(reports)) == 5


def test_the_default_is_opta_lmx_s_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    gone = results("import", "--results-dir", tmp_path / "reports")
    assert (gone.exit_code, "~/.opta-lmx/benchmarks is not there" in gone.stderr) == (4, True)

    shutil.copytree(OPTA, tmp_path / ".opta-lmx" / "benchmarks")
    assert "5 results imported" in results("import", "--results-dir", tmp_path / "reports").stdout


def test_damaged_files_are_skipped_each_with_its_reason(reports: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    shutil.copytree(OPTA, folder)
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "half.json").write_text('{"model_id": "a", ')
    (folder / "other.json").write_text('{"detail": "\\u001b[2Jmodel_not_loaded"}')
    (folder / "many.json").write_text(json.dumps([{}] * 1000))
    with (folder / "large.json").open("wb") as file:
        file.truncate(17 << 20)
    os.mkfifo(folder / "pipe.json")
    result = results("import", folder, folder / "pipe.json", folder / "gone.json", "--results-dir", reports)

    assert result.exit_code == 0
    assert "5 results imported" in result.stdout
    assert "1006 skipped" in result.stdout.replace("\n", " ")
    for words in (
        "deep.json: not JSON: recursion limit",
        "half.json: not JSON: EOF",
        "other.json: neither a result of Opta-LMX nor",
        "many.json: entry 5: neither a result",
        "many.json: 995 more entries",
        "large.json: larger than any result",
        "pipe.json: not a file",
        "gone.json: no such file",
    ):
        assert words in result.stderr
    assert len(result.stderr.splitlines()) == 12


@pytest.mark.parametrize("content", [None, "", "[]", '{"stats": {}}'])
def test_nothing_to_import_is_an_error(reports: Path, tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    if content is not None:
        (folder / "a.json").write_text(content)
    result = results("import", folder, "--results-dir", reports)

    assert result.exit_code == 4
    assert "Error: nothing was imported" in result.stderr
    assert "skipped: " in result.stderr
    assert not (reports / "imported").exists()


def test_imports_that_cannot_be_kept_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = results("import", OPTA, "--results-dir", tmp_path / "file")

    assert (result.exit_code, "cannot write to" in result.stderr) == (5, True)


# Exporting


class TheirToolCall(BaseModel):
    """As Opta-LMX's own reader has it: everything is demanded."""

    tool_definition: dict[str, Any]
    expected_tool_name: str
    prompt_used: str
    call_produced: bool
    tool_name_correct: bool
    params_valid_json: bool
    params_match_schema: bool
    raw_tool_call: dict[str, Any] | None
    latency_sec: float


class TheirSkill(BaseModel):
    skill_name: str
    skill_invoked_successfully: bool
    skill_result_preview: str | None
    skill_latency_sec: float | None
    error: str | None


class TheirStats(BaseModel):
    ttft_p50_sec: float
    ttft_p95_sec: float
    ttft_mean_sec: float
    toks_per_sec_p50: float
    toks_per_sec_p95: float
    toks_per_sec_mean: float
    prompt_tokens: int
    output_tokens: int
    runs_completed: int
    warmup_runs_discarded: int
    output_text: str
    output_token_count: int
    completed_naturally: bool
    repetition_ratio: float
    coherence_flag: Literal["ok", "truncated", "repetitive", "garbled"]
    tool_call: TheirToolCall | None
    skills: list[TheirSkill]


class TheirResult(BaseModel):
    model_config = {"protected_namespaces": (), "extra": "forbid"}

    model_id: str
    backend: str
    timestamp: str
    status: Literal["ok", "insufficient_data"]
    hardware: str
    lmx_version: str
    prompt_preview: str
    stats: TheirStats


def exported(folder: Path) -> list[BenchmarkResult]:
    found = []
    for path in sorted(folder.glob("*.json")):
        theirs = TheirResult.model_validate_json(path.read_bytes(), strict=True)
        # Not a field more than theirs, at any depth.
        assert theirs.model_dump(mode="json") == json.loads(path.read_bytes())
        found += results_in(json.loads(path.read_bytes())).results
    return found


def test_what_is_exported_their_reader_takes_and_it_comes_back_the_same(reports: Path, tmp_path: Path) -> None:
    made = whole(output_text="Hé 🎈 \u2028\n\x1b[0m")
    BenchmarkResultStore(reports / "imported").save(made)
    result = results("export", "--to", tmp_path / "out", "--results-dir", reports)

    assert result.exit_code == 0
    assert result.stdout.replace("\n", "").endswith(", 2 left out")
    back = {one.model_id: one for one in exported(tmp_path / "out")}
    assert set(back) == {made.model_id, "qwen2.5:7b-instruct-q4_K_M"}
    assert plan_fields(back[made.model_id]) == plan_fields(made)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "mlx-community_Qwen2_5-7B_2026-11-23T17-36-23-123Z.json",
        "qwen2_5_7b-instruct-q4_K_M_2026-11-23T09-41-07-512Z.json",
    ]


def test_what_their_reader_would_not_take_is_named_with_the_reason(reports: Path, tmp_path: Path) -> None:
    stderr = results("export", "--to", tmp_path / "out", "--results-dir", reports).stderr

    assert "qwen2.5:7b (failed): insufficient_data" in stderr
    assert "(head-to-head:lmx): Opta-LMX demands what is not known: prompt_tokens, completed_naturally" in stderr
    nothing = results("export", "failed", "--to", tmp_path / "none", "--results-dir", reports)
    assert nothing.exit_code == 4
    assert "none of the results can be read by Opta-LMX" in nothing.stderr
    assert not (tmp_path / "none").exists()


def test_exporting_twice_adds_nothing_and_importing_it_back_neither(reports: Path, tmp_path: Path) -> None:
    for said in ("1 result exported", "0 results exported"):
        result = results("export", "head-to-head:ollama", "--to", tmp_path / "out", "--results-dir", reports)
        assert said in result.stdout
    assert "1 there already" in result.stdout

    assert "1 there already" in results("import", tmp_path / "out", "--results-dir", reports).stdout
    elsewhere = tmp_path / "elsewhere"
    results("import", tmp_path / "out", "--results-dir", elsewhere)
    assert [one.origin for one in imported_results(elsewhere)] == ["lmx-loadgen"]


def test_two_results_of_one_model_and_moment_are_both_exported(reports: Path, tmp_path: Path) -> None:
    store = BenchmarkResultStore(reports / "imported")
    store.save(whole())
    store.save(whole(prompt_tokens=31))
    results("export", "--model", "QWEN2.5-7b", "--to", tmp_path / "out", "--results-dir", reports)

    assert len(exported(tmp_path / "out")) == 2


@pytest.mark.parametrize("name", ["../../evil", "/abs", "..", "a\x00b", "x" * 5000])
def test_no_name_leads_outside_the_folder(tmp_path: Path, name: str) -> None:
    made = whole().model_copy(update={"model_id": name, "timestamp": f"../{name}"})
    BenchmarkResultStore(tmp_path / "reports" / "imported").save(made)
    results("export", "--to", tmp_path / "a" / "out", "--results-dir", tmp_path / "reports")

    assert {found.name for found in tmp_path.iterdir()} == {"a", "reports"}
    assert [found.name for found in (tmp_path / "a").iterdir()] == ["out"]
    (path,) = (tmp_path / "a" / "out").iterdir()
    assert len(path.name) < 150


def test_where_to_must_be_said(reports: Path, tmp_path: Path) -> None:
    missing = results("export", "--results-dir", reports)
    assert (missing.exit_code, "--to" in missing.stderr) == (2, True)
    (tmp_path / "file").touch()
    assert results("export", "--to", tmp_path / "file", "--results-dir", reports).exit_code == 5
