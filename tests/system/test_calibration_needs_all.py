"""A calibrated level with a failed request is no calibration, and a machine that allows few files has fewer levels."""

from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.calibration import run as calibration
from lmx_loadgen.calibration.run import Stretch, calibrate, full, quick
from lmx_loadgen.errors import InputError, LoadgenError
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.calibrated import measure
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.system import host, open_files
from tests.helpers.cli import lmx_loadgen
from tests.helpers.made_lines import failed_line, made_log, request_line, steady

TABLE = [Stretch(1, 3, 4, 0.0, ttft_ms=5.0), Stretch(4, 8, 4, 0.1)]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "quick", lambda: TABLE)
    monkeypatch.setattr(calibration, "_BURST", Stretch(2, 4, 2_000, 0.0))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            [request_line(steady()), failed_line("connect_error", None, reason="Too many open files"), failed_line()],
            r"concurrency 1: 2 of 3 requests failed \(connect_error: Too many open files\); nothing was stored",
        ),
        ([request_line(steady())], r"concurrency 1: 2 of 3 requests failed; nothing was stored"),
        ([request_line([], outcome="cancelled")] * 3, r"concurrency 1: 3 of 3 requests failed \(cancelled"),
    ],
)
def test_a_failed_request_ends_the_calibration(lines: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(LoadgenError, match=words):
        calibrate(lambda profile: made_log(lines), is_quick=True, report=lambda said: None)


def test_nothing_is_stored_of_a_table_whose_last_level_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_at_four(options: Options, stop: StopFlag) -> Any:
        real = measure(options, stop)

        def measured(profile: Profile) -> LogContents:
            log = real(profile)
            if profile.load.concurrency == [4]:
                log.requests[-1] |= {"outcome": "reset", "reason": "gone"}
            return log

        return measured

    monkeypatch.setattr("lmx_loadgen.commands.calibrate.measure", failing_at_four)
    result = lmx_loadgen("calibrate", "--quick", "--out", tmp_path / "out")

    assert result.exit_code == 1
    assert "calibration at concurrency 4: 1 of 8 requests failed (reset: gone)" in result.stderr
    assert not (tmp_path / "out").exists()


def test_levels_beyond_the_limit_on_files_are_left_out_where_that_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = measure(Options(), StopFlag())
    found = calibrate(real, is_quick=True, report=lambda said: None, most=3)
    assert [level.concurrency for level in found.levels] == [1]
    monkeypatch.setattr(open_files, "most_connections", lambda: 3)
    with pytest.raises(InputError, match="calibration at concurrency 4 needs"):
        calibrate(real, is_quick=True, report=lambda said: None)


@pytest.mark.parametrize("table", [full(), quick()])
def test_every_level_has_a_hundred_requests_for_its_99th_percentile(table: list[Stretch]) -> None:
    assert [load.concurrency for load in table] == [1, 16, 64, 256, 1000]
    assert all(load.requests >= 100 for load in table)


def test_a_calibration_tells_of_a_machine_that_became_busy_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    words = iter([None, "load average 9.0 on 2 cores"])
    monkeypatch.setattr(host, "busy", lambda: next(words))
    found = calibrate(measure(Options(), StopFlag()), is_quick=True, report=lambda said: None, most=3)

    assert (found.busy, found.busy_reason) == (True, "load average 9.0 on 2 cores")
    assert found.levels[0].chunk_rate > 1000 / (calibration.TTFT_MS + 3 * calibration.STEP_MS)  # of its own, short TTFT
