"""How many processes measure, by what the calibration says that one takes in, and what the user is told of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lmx_loadgen import __version__
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session import worker_count
from lmx_loadgen.session.instrument import instrument
from lmx_loadgen.session.machine_limits import warnings
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.worker_count import with_workers
from lmx_loadgen.store.calibration import Calibration, store
from lmx_loadgen.system import folders, host, identity
from tests.helpers.make_runs import calibration
from tests.system.test_network_limits import linux

HERE, ELSEWHERE = "a=http://127.0.0.1:1234", "a=http://203.0.113.7:1234"  # an address that nobody has


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Eight fast cores and no calibration; a call stores one of so many chunks a second."""
    monkeypatch.setenv(folders.CALIBRATION_FOLDER_ENV, str(tmp_path))
    monkeypatch.setattr(host, "fast_cores", lambda: 8)

    def stored(sustained: float) -> None:
        loop, stamps = instrument(Options())
        made = {"loop": loop, "stamps": stamps.value, "workers": 1, "tool_version": __version__}
        made |= {"host": identity.machine_id(), "sustained_chunks_per_s": sustained}
        store(tmp_path, Calibration.model_validate(calibration() | made))

    return stored


def chosen(slots: int, target: str = HERE, tmp: Path = Path("/no/reports")) -> Options:
    profile = Profile.model_validate({"targets": [target], "load": {"concurrency": slots}})
    return with_workers(Options(out=tmp), profile, None)


@pytest.mark.parametrize(
    ("slots", "target", "number", "words"),
    [
        (100, HERE, 1, None),
        (200, HERE, 1, None),
        (
            1_000,
            HERE,
            5,
            "5 measuring processes: the calibration says that 1000 streams of up to 100 chunks/s need 5",
        ),
        (
            10_000,
            HERE,
            7,
            "7 measuring processes, one core is left to the server: the calibration says that 10000 streams of up to "
            "100 chunks/s would need 50",
        ),
        (
            10_000,
            ELSEWHERE,
            8,
            "8 measuring processes, one for each fast core: the calibration says that 10000 streams of up to 100 "
            "chunks/s would need 50",
        ),
    ],
)
def test_as_many_as_the_load_needs_and_cores_allow(
    slots: int, target: str, number: int, words: str | None, known: Callable[[float], None]
) -> None:
    known(20_000)
    options = chosen(slots, target)

    assert (options.workers, options.workers_why) == (number, words)


def test_two_cores_leave_one_to_the_server(known: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    known(20_000)
    monkeypatch.setattr(host, "fast_cores", lambda: 2)

    assert chosen(10_000).workers == 1
    assert str(chosen(10_000).workers_why).startswith("1 measuring process, one core is left to the server: ")


@pytest.mark.usefixtures("known")
def test_without_a_calibration_there_is_one_and_a_heavy_load_is_told_so() -> None:
    assert (chosen(100).workers, chosen(100).workers_why) == (1, None)

    heavy = chosen(10_000)
    assert heavy.workers == 1
    assert str(heavy.workers_why).startswith("1 measuring process: no calibration says how many this load needs")
    profile = Profile.model_validate({"targets": [HERE], "load": {"concurrency": 10_000}})
    assert warnings(profile, heavy, linux()) == [heavy.workers_why]


def test_a_calibration_is_made_first_where_it_decides(known: Callable[[float], None]) -> None:
    asked: list[tuple[str, str]] = []

    def calibrated(loop: str, stamps: str) -> None:
        asked.append((loop, stamps))
        known(50_000)

    profile = Profile.model_validate({"targets": [HERE], "load": {"concurrency": 1_000}})
    options = with_workers(Options(out=Path("/no/reports")), profile, calibrated)

    assert (options.workers, len(asked)) == (2, 1)


@pytest.mark.usefixtures("known")
def test_no_calibration_is_made_first_where_it_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def calibrated(loop: str, stamps: str) -> None:
        raise AssertionError

    light = Profile.model_validate({"targets": [HERE], "load": {"concurrency": 128}})
    assert with_workers(Options(out=Path("/no/reports")), light, calibrated).workers == 1
    monkeypatch.setattr(host, "fast_cores", lambda: 2)
    heavy = Profile.model_validate({"targets": [HERE], "load": {"concurrency": 10_000}})
    options = with_workers(Options(out=Path("/no/reports")), heavy, calibrated)
    assert (options.workers, options.workers_why) == (1, "1 measuring process: one core is left to the server")


def test_this_machine_s_own_addresses_are_not_elsewhere() -> None:
    assert not worker_count._is_elsewhere("localhost")
    assert not worker_count._is_elsewhere("127.0.0.1")
    assert not worker_count._is_elsewhere("::1")
    assert worker_count._is_own("127.0.0.1")
    assert not worker_count._is_own("203.0.113.7")
