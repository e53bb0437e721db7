"""`lmx-loadgen compare` as a user calls it."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from lmx_loadgen.report.run_notes import MOST_NOTES
from tests.helpers.cli import lmx_loadgen
from tests.helpers.made_sessions import Made, session, stored
from tests.helpers.outline import Outline
from tests.helpers.paths import RUNS
from tests.helpers.snapshots import check_snapshot, numbers_in

SLOWER = Made(ttft=220, step=22)


def compare(*arguments: object) -> Result:
    return lmx_loadgen("compare", *map(str, arguments))


def run(folder: Path, targets: Mapping[str, Made], run_id: str, **changes: Any) -> Path:
    return stored(folder, session(targets, run_id=run_id, seed=int(run_id[:4], 16), **changes))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Runs as they lie in a results folder, oldest first."""
    run(tmp_path / "20260101T000000Z-lmx+ollama-0001aaaa", {"lmx": Made(), "ollama": SLOWER}, "0001aaaa")
    run(tmp_path / "20260102T000000Z-lmx-0002aaaa", {"lmx": Made()}, "0002aaaa")
    run(tmp_path / "20260103T000000Z-lmx-0003aaaa", {"lmx": SLOWER}, "0003aaaa")
    return tmp_path


# Which two


def test_with_nothing_named_the_newest_run_of_two_targets_is_compared(reports: Path) -> None:
    result = compare("--results-dir", reports)

    assert result.exit_code == 0
    assert result.stdout.startswith("lmx ")
    assert numbers_in(result.stdout)[0] == 1
    assert "paired" in result.stdout


@pytest.mark.parametrize("format", ["terminal", "markdown"])
def test_snapshot_of_a_comparison(reports: Path, format: str) -> None:
    text = compare("--results-dir", reports, "--format", format).stdout

    check_snapshot(f"compare-{format}.txt", text)


def test_at_most_five_notes_and_all_with_v() -> None:
    few, every = (compare(RUNS / "head-to-head", *flags).stdout for flags in ((), ("-v",)))
    notes = [sum(line.startswith("- ") for line in text.splitlines()) for text in (few, every)]

    assert notes[0] == MOST_NOTES < notes[1]
    assert few.endswith(f"({notes[1] - MOST_NOTES} more with -v)\n")
    assert "more with -v" not in every
    assert "practical margin" in every


def test_one_run_of_two_targets(reports: Path) -> None:
    (folder,) = reports.glob("*lmx+ollama*")

    assert compare(folder).stdout == compare("--results-dir", reports).stdout
    assert compare(folder.name, "--results-dir", reports).stdout == compare(folder).stdout


def test_targets_by_name_are_those_of_the_newest_run_that_has_both(reports: Path) -> None:
    result = compare("ollama", "lmx", "--results-dir", reports, "--format", "json")
    found = json.loads(result.stdout)

    assert (found["a"]["label"], found["b"]["label"], found["mode"]) == ("ollama", "lmx", "interleaved")
    assert found["levels"][0]["metrics"]["ttft_p50"]["verdict"] == "better"


def test_the_newest_run_is_not_the_last_by_name(tmp_path: Path) -> None:
    pair = {"lmx": Made(), "ollama": SLOWER}
    run(tmp_path / "base", pair, "0001aaaa", started_at="2026-01-01T00:00:00.000Z")
    run(tmp_path / "20260102T000000Z-lmx+ollama-0002aaaa", pair, "0002aaaa", started_at="2026-01-02T00:00:00.000Z")
    found = json.loads(compare("--results-dir", tmp_path, "--format", "json").stdout)

    assert found["a"]["run_id"] == "0002aaaa"


def test_two_runs_of_one_target_are_told_apart_by_their_ids(reports: Path) -> None:
    result = compare("20260102T000000Z-lmx-0002aaaa", "20260103T000000Z-lmx-0003aaaa", "--results-dir", reports)

    assert "lmx@0003aaaa" in result.stdout
    assert "lmx@0002aaaa" in result.stdout
    assert "sequential" in result.stdout


def test_two_runs_in_folders_that_a_user_named_go_by_those_names(tmp_path: Path) -> None:
    base, new = run(tmp_path / "base", {"lmx": Made()}, "0002aaaa"), run(tmp_path / "new", {"lmx": SLOWER}, "0003aaaa")

    assert compare(base, new).stdout.startswith("Whether base or new ")


def test_a_target_of_one_run_against_another_run(reports: Path) -> None:
    both, alone = "20260101T000000Z-lmx+ollama-0001aaaa:ollama", "20260102T000000Z-lmx-0002aaaa"
    result = compare(both, alone, "--results-dir", reports)

    assert result.exit_code == 0
    assert result.stdout.startswith("Whether ollama or lmx ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 4, ["nowhere", "folder"]),
        (["nowhere", "lmx"], 4, ["nowhere", "target"]),
        (["a", "b", "c"], 2, ["two"]),
        (["20260101T000000Z-lmx+ollama-0001aaaa", "lmx"], 2, ["several targets", "lmx, ollama"]),
        (["20260101T000000Z-lmx+ollama-0001aaaa:vllm", "lmx"], 2, ["'vllm'", "lmx, ollama"]),
        (["20260102T000000Z-lmx-0002aaaa"], 2, ["1 target", "(lmx)"]),
        (["20260102T000000Z-lmx-0002aaaa", "20260102T000000Z-lmx-0002aaaa"], 2, ["same measurement"]),
        (["--margin", "x"], 2, ["--margin", "3%"]),
        (["--fail-on", "speed > 3%"], 2, ["'speed'"]),
        (["--accept", " "], 2, ["--accept", "reason"]),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(
    reports: Path, words: list[str], code: int, said: list[str]
) -> None:
    result = compare(*words, "--results-dir", reports)

    assert result.exit_code == code
    assert [words for words in said if words not in " ".join(result.stderr.split())] == []
    assert "Traceback" not in result.stderr


def test_no_run_at_all(tmp_path: Path) -> None:
    result = compare("--results-dir", tmp_path)

    assert result.exit_code == 4
    assert "lmx-loadgen run --target A --target B" in result.stderr


# How it is shown


@pytest.mark.slow
def test_the_terminal_s_lines_fit_80_columns(reports: Path) -> None:
    command = [sys.executable, "-m", "lmx_loadgen", "compare", "--results-dir", str(reports)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "\x1b" not in done.stdout
    figures = [line.split() for line in done.stdout.splitlines() if "ms" in line.split()]
    assert [line[line.index("ms") + 1] for line in figures] == ["worse"] * 3


def test_markdown_has_the_sentence_first_and_both_tables(reports: Path) -> None:
    lines = compare("--results-dir", reports, "--format", "markdown").stdout.splitlines()

    assert lines[0].startswith("**lmx ")
    tables = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert ["lmx", "ollama"] in [row[2:4] for row in tables]
    assert ["passed", "30 tokens", "30 tokens"] in [row[1:4] for row in tables]


def test_a_page_is_written_where_it_is_wanted(reports: Path, tmp_path: Path) -> None:
    page = tmp_path / "there" / "out.html"
    result = compare("--results-dir", reports, "--format", "html", "--output", page)

    assert result.stdout.strip() == str(page)
    (sentence,) = json.loads(compare("--results-dir", reports, "--format", "json").stdout)["sentences"][:1]
    assert sentence in Outline(page.read_text(encoding="utf-8")).text.replace("\u00a0", " ")


def test_what_is_accepted_is_compared(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", {"lmx": Made(), "ollama": Made(prompt=150)}, "0001aaaa")
    refused, accepted = compare(folder), compare(folder, "--accept", "its template is longer")

    assert refused.exit_code == 32
    assert numbers_in(refused.stdout)[:3] == [1, 30, 150]
    assert accepted.exit_code == 0
    assert "accepted: its template is longer" in accepted.stdout


def test_names_from_outside_do_nothing_to_a_terminal_or_a_pull_request(tmp_path: Path) -> None:
    evil = Made(model="\x1b[31m[bold]<script>alert(1)</script>|")
    folder = run(tmp_path / "run", {"lmx": Made(), "ollama": evil}, "0001aaaa")

    assert "\x1b" not in compare(folder).stdout
    shown = compare(folder, "--format", "markdown").stdout
    assert "\x1b" not in shown
    assert "<script>" not in shown


# In a build


def both(folder: Path, new: Made, run_id: str, **changes: Any) -> Path:
    """Both builds side by side in one run."""
    return run(folder, {"base": Made(), "new": new}, run_id, **changes)


@pytest.mark.slow
def test_a_build_goes_by_exit_codes(tmp_path: Path) -> None:
    alone = [run(tmp_path / f"alone{n}", {"lmx": made}, f"000{n}aaaa") for n, made in ((5, Made()), (6, SLOWER))]
    base = [run(tmp_path / "old" / f"run{n}", {"lmx": Made()}, f"001{n}aaaa") for n in range(3)]
    new = [run(tmp_path / "new" / f"run{n}", {"lmx": SLOWER}, f"002{n}aaaa") for n in range(3)]
    others = {
        "kept 0": [[both(tmp_path / "same", Made(), "0001aaaa")]],
        "broken 30": [
            [both(tmp_path / "slower", SLOWER, "0002aaaa")],
            [word for side in (base, new) for one in side for word in ("--base" if side is base else "--new", one)],
            ["--base", tmp_path / "old", "--new", tmp_path / "new"],
        ],
        "inconclusive 31": [
            [both(tmp_path / "noisy", Made(ttft=208), "0003aaaa", noise=0.1)],
            [*alone, "--results-dir", tmp_path / "none"],  # unreplicated
        ],
        "refused 32": [[both(tmp_path / "longer", Made(prompt=99), "0004aaaa")]],
    }
    script, tool = Path(__file__).parent / "gate.sh", Path(sys.executable).with_name("lmx-loadgen")

    for expected, cases in others.items():
        for words in cases:
            command = ["sh", str(script), *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env={"LMX_LOADGEN": str(tool)})
            assert done.stdout.strip() == expected, words


def test_a_broken_limit_is_said_on_stderr_after_the_comparison(tmp_path: Path) -> None:
    result = compare(both(tmp_path / "run", SLOWER, "0001aaaa"), "--fail-on", "ttft > 5%")

    assert result.exit_code == 30
    assert result.stdout.startswith("base ")
    assert result.stderr.startswith("Error: ")
    assert "ttft > 5%" in result.stderr
    assert "new" in result.stderr


# Separate runs


def test_two_separate_runs_keep_no_limit(reports: Path) -> None:
    words = ["20260102T000000Z-lmx-0002aaaa", "20260103T000000Z-lmx-0003aaaa", "--results-dir", reports]
    result = compare(*words, "--fail-on", "ttft > 5%")

    assert result.exit_code == 31
    assert "scatter between runs is unknown" in " ".join(result.stderr.split())
    assert compare(*words).exit_code == 0


def test_three_earlier_runs_of_the_same_work_tell_the_scatter(tmp_path: Path) -> None:
    def made(number: int, **changes: Any) -> Path:
        log = {"started_at": f"2026-01-0{number}T00:00:00Z"} | changes
        return run(tmp_path / f"2026010{number}T000000Z-lmx", {"lmx": Made()}, f"000{number}aaaa", **log)

    for number in (1, 2, 3):
        made(number)
    made(4, host={"name": "elsewhere"})
    new = run(tmp_path / "new", {"lmx": Made(ttft=400)}, "0008aaaa", started_at="2026-01-08T00:00:00Z")
    run(tmp_path / "later", {"lmx": Made()}, "0009aaaa", started_at="2026-01-09T00:00:00Z")
    words = [tmp_path / "20260103T000000Z-lmx", new, "--results-dir", tmp_path, "--format", "json"]
    found = json.loads(compare(*words).stdout)

    assert sorted(found["scatter_runs"]) == ["0001aaaa", "0002aaaa", "0003aaaa"]
    assert found["levels"][0]["metrics"]["ttft_p50"]["verdict"] == "worse"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--base", "20260102T000000Z-lmx-0002aaaa"], "--new"),
        (["--base", "20260102T000000Z-lmx-0002aaaa", "--new", "20260102T000000Z-lmx-0002aaaa"], "twice"),
        (["x", "--base", "20260102T000000Z-lmx-0002aaaa", "--new", "20260103T000000Z-lmx-0003aaaa"], "without other"),
    ],
)
def test_runs_of_both_sides_are_named_once(reports: Path, words: list[str], said: str) -> None:
    result = compare(*words, "--results-dir", reports)

    assert result.exit_code == 2
    assert said in result.stderr


# For build servers


def cases(text: str) -> dict[str, ET.Element]:
    return {case.attrib["name"]: case for case in ET.fromstring(text).iter("testcase")}


def test_junit_has_a_case_for_each_figure_and_limit(reports: Path) -> None:
    limits = ("--fail-on", "ttft_p50 > +5%", "--fail-on", "ttft_p50 > +90%")
    result = compare("--results-dir", reports, "--format", "junit", *limits)
    figures = json.loads(compare("--results-dir", reports, "--format", "json").stdout)["levels"]
    found = cases(result.stdout)

    assert result.exit_code == 30
    assert len(found) == sum(len(level["metrics"]) for level in figures) + 2 * len(figures)
    ttft = next(case for name, case in found.items() if name == "TTFT at concurrency 1")
    failure = ttft.find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("worse: ")
    kinds = [[child.tag for child in case] for case in found.values() if case.attrib["classname"] == "limits"]
    assert sorted(kinds) == [[]] * len(figures) + [["failure"]] * len(figures)
    (of_figures, of_limits) = ET.fromstring(result.stdout).findall("testsuite")
    assert of_limits.attrib["failures"] == str(len(figures))
    assert int(of_figures.attrib["tests"]) == len(found) - 2 * len(figures)


def test_junit_skips_what_is_inconclusive_and_a_limit_on_it_is_an_error(reports: Path) -> None:
    runs = ["20260102T000000Z-lmx-0002aaaa", "20260103T000000Z-lmx-0003aaaa"]
    result = compare(*(reports / run for run in runs), "--format", "junit", "--fail-on", "ttft > +1%")
    kinds = {case.attrib["classname"]: {child.tag for child in case} for case in cases(result.stdout).values()}

    assert result.exit_code == 31
    assert kinds.pop("limits") == {"error"}
    assert list(kinds.values()) == [{"skipped"}]


def test_junit_is_xml_whatever_a_target_is_called(tmp_path: Path) -> None:
    names = ("<a>&", "b\x00\x1b[31m\ufffe]]>")
    folder = run(tmp_path / "run", {names[0]: Made(), names[1]: SLOWER}, "0001aaaa")
    suites = ET.fromstring(compare(folder, "--format", "junit").stdout).findall("testsuite")

    assert "<a>&" in suites[0].attrib["name"]
