"""The Python API: measured as a script, in a thread and under a loop; rows, comparisons and pages of stored runs."""

import asyncio
import builtins
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lmx_loadgen
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.errors import Busy, InputError, ResultError, Unreachable
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.result import find_runs, read_result
from lmx_loadgen.system import lock
from tests.helpers.killed_runs import logged_lines, wait_for
from tests.helpers.paths import RUNS

SHORT: Any = {"concurrency": 1, "requests": 2, "max_tokens": 4, "warmup": 0, "calibrate": False}


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None)) as running:
        yield running


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_script_measures_and_prints_nothing(sim: SimProcess, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, lmx_loadgen\n"
        f"run = lmx_loadgen.run('box={sim.url}', concurrency=[1, 2], requests=2, max_tokens=4, calibrate=False)\n"
        "assert run.complete and run.folder.is_absolute()\n"
        "sys.exit(len(run.levels()))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    assert len(find_runs(tmp_path / "reports")) == 1


def test_it_works_in_a_thread(sim: SimProcess) -> None:
    made: list[lmx_loadgen.Run] = []
    thread = threading.Thread(target=lambda: made.append(lmx_loadgen.run(f"box={sim.url}", **SHORT)))
    thread.start()
    thread.join(60)

    assert made[0].complete


def test_it_works_under_asyncio(sim: SimProcess) -> None:
    """Awaited, and called by a coroutine, whose loop waits."""

    async def main() -> tuple[lmx_loadgen.Run, lmx_loadgen.Run]:
        return await lmx_loadgen.arun(f"box={sim.url}", **SHORT), lmx_loadgen.run(f"box={sim.url}", **SHORT)

    assert [run.complete for run in asyncio.run(main())] == [True, True]


@pytest.mark.parametrize("how", ["run", "arun"])
@pytest.mark.slow
def test_ctrl_c_in_a_script_keeps_what_was_measured(how: str, sim: SimProcess, tmp_path: Path) -> None:
    call = f"lmx_loadgen.{how}('box={sim.url}', requests=100000, max_tokens=4, calibrate=False)"
    # A shell that starts this in the background has its children pass over SIGINT.
    ready = "import asyncio, signal, lmx_loadgen; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{ready}; {call if how == 'run' else f'asyncio.run({call})'}"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        wait_for(lambda: any(logged_lines(path.parent) > 5 for path in tmp_path.glob("reports/*/events.jsonl")))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()

    assert said.rstrip().endswith("KeyboardInterrupt")
    (folder,) = find_runs(tmp_path / "reports")
    assert read_result(folder).reason == "interrupted"


def test_one_measures_at_a_time(sim: SimProcess) -> None:
    with lock.acquire(allow_concurrent=False):
        with pytest.raises(Busy):
            lmx_loadgen.run(f"box={sim.url}", **SHORT)
        beside = lmx_loadgen.run(f"box={sim.url}", **SHORT, allow_concurrent=True)

    assert any("measur" in note for note in beside.result.notes)


def test_errors_are_those_of_the_command_line(unused_port: int) -> None:
    with pytest.raises(Unreachable):
        lmx_loadgen.run(f"box=http://127.0.0.1:{unused_port}", **SHORT)
    assert issubclass(Unreachable, lmx_loadgen.LoadgenError)


def test_a_run_whose_requests_failed_is_returned_like_others(sim: SimProcess) -> None:
    run = lmx_loadgen.run(f"box={sim.url}", **SHORT, extra={"sim": {"fault": "http_500"}}, max_errors=1, probe=False)

    assert (run.levels()[0]["ok"], run.complete) == (0, False)
    assert run.reason is not None
    assert "incomplete: box" in repr(run)
    assert {row["outcome"] for row in run.requests()} == {"http_error"}


# Stored runs


@pytest.fixture(scope="module")
def stored() -> lmx_loadgen.Run:
    return lmx_loadgen.load_run(RUNS / "head-to-head")


def test_levels_are_flat_rows_in_base_units(stored: lmx_loadgen.Run) -> None:
    rows = stored.levels()
    level = stored.result.targets[0].levels[0]

    assert len(rows) == sum(len(target.levels) for target in stored.result.targets)
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert all(isinstance(value, str | int | float | None) for row in rows for value in row.values())
    assert rows[0]["ttft_p50_s"] == level.metrics["ttft"].p50
    assert rows[0]["decode_tok_s_p95"] == level.metrics["decode_tok_s"].p95
    assert rows[0]["output_tok_s"] == level.metrics["output_tok_s"].mean
    assert (rows[0]["ok"], rows[0]["concurrency"]) == (level.requests.ok, level.concurrency)
    assert all(any(name.startswith(metric) for name in rows[0]) for metric in METRICS)


def test_requests_are_flat_rows(stored: lmx_loadgen.Run) -> None:
    row = next(row for row in stored.requests() if row["phase"] == "measured")

    assert row["e2e_s"] > row["ttft_s"] > 0
    assert {"target", "load_point", "prompt_id", "outcome", "reason", "start_s", "longest_stall_s"} <= set(row)


def test_pandas_gets_the_same_rows(stored: lmx_loadgen.Run) -> None:
    frame = stored.to_pandas()

    assert len(frame) == len(stored.requests())
    assert frame.ttft_s.notna().any()
    assert list(stored.to_pandas(per="level").columns) == list(stored.levels()[0])


def test_without_pandas_it_says_what_to_install(stored: lmx_loadgen.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install pandas"):
        stored.to_pandas()


def test_a_comparison_is_the_stored_one_or_made_of_the_log(stored: lmx_loadgen.Run) -> None:
    first, second = (target.name for target in stored.result.targets)
    other_way = stored.comparison(second, first)

    assert stored.comparison() == stored.result.comparisons[0]
    assert (other_way.a.target, other_way.b.target) == (second, first)
    with pytest.raises(ResultError, match="has no target 'nobody'"):
        stored.comparison("nobody")


def test_a_run_with_one_target_has_none(sim: SimProcess) -> None:
    run = lmx_loadgen.run(f"box={sim.url}", **SHORT)

    with pytest.raises(ResultError, match="has one target"):
        run.comparison()
    again = lmx_loadgen.run(f"box={sim.url}", **SHORT)
    found = lmx_loadgen.compare(run, again.folder)
    assert found.levels[0].metrics["ttft_p50"].verdict in ("undecided", "refused")
    assert found.runs_a == lmx_loadgen.compare([run], [str(again.folder)]).runs_a == [run.result.run_id]


def test_a_side_with_several_targets_must_say_which(stored: lmx_loadgen.Run) -> None:
    first, second = (target.name for target in stored.result.targets)
    found = lmx_loadgen.compare(f"{stored.folder}:{first}", f"{stored.folder}:{second}")

    assert found.levels == stored.comparison().levels
    with pytest.raises(InputError, match="has several targets"):
        lmx_loadgen.compare(stored, stored)


def test_a_page_is_saved_where_it_is_asked_for(stored: lmx_loadgen.Run, tmp_path: Path) -> None:
    path = stored.save_page("made/page.html")

    assert path == Path("made/page.html")
    assert "<table" in (tmp_path / path).read_text(encoding="utf-8")


def test_a_notebook_shows_the_summary(stored: lmx_loadgen.Run) -> None:
    html = stored._repr_html_()

    assert html.count("<tbody>") == sum(len(target.levels) for target in stored.result.targets)
    assert all(target.name in html for target in stored.result.targets)


def test_a_run_that_was_killed_is_summed_up_when_it_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    shutil.copy(RUNS / "head-to-head" / "events.jsonl", folder)

    assert lmx_loadgen.load_run(folder).levels()
    with pytest.raises(ResultError):
        lmx_loadgen.load_run(tmp_path / "none")


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, lmx_loadgen\n"
        "assert 'run' in dir(lmx_loadgen) and not hasattr(lmx_loadgen, 'walk')\n"
        "print(sorted({'numpy', 'scipy', 'plotly', 'httpx', 'pydantic', 'rich', 'pandas'} & set(sys.modules)))\n"
        "lmx_loadgen.run, lmx_loadgen.load_run\n"
        "print(sorted({'numpy', 'scipy', 'plotly', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
