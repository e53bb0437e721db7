"""A run with something beside it that says how the machine does, from the flags to the result."""

import sys
from pathlib import Path

import pytest

from lmx_loadgen.observe import macmon
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.result import RunResult, read_result
from tests.helpers.cli import SMALL, lmx_loadgen
from tests.helpers.killed_runs import wait_for
from tests.helpers.processes import is_running
from tests.system.machine import RECORDED

pytestmark = pytest.mark.slow

# It prints the second line of a file, again and again.
FAKE = """
import pathlib, sys, time
line = pathlib.Path(sys.argv[1]).read_text().splitlines()[1]
while True:
    time.sleep(float(sys.argv[2]))
    print(line, flush=True)
"""


def fake(folder: Path, every_s: float) -> tuple[str, ...]:
    program = folder / "fake.py"
    program.write_text(FAKE)
    return (sys.executable, str(program), str(RECORDED / "macmon-pipe.macos27-cpu0.jsonl.txt"), str(every_s))


def stored(out: Path) -> tuple[LogContents, RunResult]:
    (folder,) = out.iterdir()
    return read_log(folder / "events.jsonl"), read_result(folder)


def test_a_level_gets_the_power_of_its_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS 27: the CPU's counter stands still, so its power is not known; the machine's goes on."""
    monkeypatch.setattr(macmon, "command", lambda: fake(tmp_path, macmon.INTERVAL_S))
    load = ("-c", "1", "-d", "9s", "--warmup", "0", "--max-tokens", "16", "--no-calibrate")

    done = lmx_loadgen("run", "-t", "sim", *load, "--out", tmp_path / "runs")

    assert done.exit_code == 0, done.output
    log, result = stored(tmp_path / "runs")
    (level,) = result.targets[0].levels
    found, rate = level.observed, level.metrics["output_tok_s"].mean
    assert found is not None
    assert rate is not None
    assert log.notes == []
    assert found.seconds >= 5
    assert (found.system_power_w, found.gpu_power_w, found.cpu_power_w) == pytest.approx((58.9, 31.2, None))
    assert (found.gpu_temp_max_c, found.gpu_clock_share) == (66.4, 1)
    assert found.tokens_per_joule == pytest.approx(rate / 58.9)
    assert "machine 58.9 W, GPU 31.2 W" in done.output


def test_one_that_fails_is_a_note_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macmon, "command", lambda: ("/bin/sh", "-c", "echo no sensors >&2; exit 3"))

    done = lmx_loadgen("run", "-t", "sim", *SMALL, "--out", tmp_path)

    assert done.exit_code == 0, done.output
    _, result = stored(tmp_path)
    assert [note for note in result.notes if "macmon" in note] == [
        "power and heat are not known for the whole run: macmon: it ended before the run did: no sensors"
    ]
    assert [level.observed for level in result.targets[0].levels] == [None, None]


def test_a_resumed_run_keeps_the_samples_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macmon, "command", lambda: fake(tmp_path, 0.01))
    assert lmx_loadgen("run", "-t", "sim", *SMALL, "--out", tmp_path / "runs").exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    first_end = next(place for place, line in enumerate(lines) if '"type":"segment"' in line)
    path.write_text("".join(lines[: first_end + 1]))
    before = read_log(path).samples
    assert before

    assert lmx_loadgen("run", "--resume", folder).exit_code == 0

    log = read_log(path)
    assert log.samples[: len(before)] == before
    assert len(log.samples) > len(before)
    assert log.end is not None
    assert log.end["complete"]


def test_nothing_of_it_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macmon, "command", lambda: ("/bin/sh", "-c", f"echo $$ >{tmp_path / 'pid'}; exec sleep 60"))

    lmx_loadgen("run", "-t", "sim", *SMALL, "--out", tmp_path / "runs")

    wait_for(lambda: not is_running(int((tmp_path / "pid").read_text())))
