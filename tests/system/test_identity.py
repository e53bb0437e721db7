"""A machine keeps its identity in every network, and files of earlier versions are still its own."""

import fcntl
import os
import platform
from pathlib import Path

import pytest

from lmx_loadgen.analysis.comparison.sides import are_several_machines, machine_of
from lmx_loadgen.errors import Busy
from lmx_loadgen.session import calibrated
from lmx_loadgen.store.calibration import Calibration, store
from lmx_loadgen.system import folders, host, identity, lock
from lmx_loadgen.system.probe import Probe
from tests.helpers.make_runs import calibration
from tests.system.machine import Mac, recorded


class Linux(Probe):
    """A Linux machine with these files alone."""

    def __init__(self, **files: str) -> None:
        super().__init__(system="linux")
        object.__setattr__(self, "files", files)

    def read(self, path: str) -> str | None:
        files: dict[str, str] = object.__getattribute__(self, "files")
        return files.get(Path(path).name)


def mac(uuid: str) -> Mac:
    said = recorded("ioreg-IOPlatformExpertDevice").replace("00000000-1111-2222-3333-444444444444", uuid)
    return Mac(said={"uuid": said})


def test_a_machine_is_known_by_its_own_identity_and_not_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [identity.machine_id(mac("A-1")), identity.machine_id(Linux(**{"machine-id": "abc\n"}))]
    monkeypatch.setattr(platform, "node", lambda: "renamed.by.dhcp")

    assert [identity.machine_id(mac("A-1")), identity.machine_id(Linux(**{"machine-id": "abc\n"}))] == first
    assert identity.machine_id(mac("A-2")) not in first
    assert all(len(one) == 8 and int(one, 16) >= 0 for one in first)


@pytest.mark.parametrize(
    "machine", [Mac(), Linux(), Linux(**{"machine-id": "uninitialized\n"}), Linux(**{"machine-id": ""})]
)
def test_where_the_system_has_none_the_former_name_has_to_do(machine: Probe) -> None:
    assert identity.machine_id(machine) == identity.former_id()


def test_neither_name_nor_identity_is_told() -> None:
    found = str(host.facts(mac("A-1")))

    assert "A-1" not in found
    assert platform.node() not in str(host.facts())


@pytest.fixture
def two_ids(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """This machine's present and former names, which are not the same."""
    monkeypatch.setattr(identity, "_machine_id", lambda: "0badcafe")
    assert identity.known_ids() == ("0badcafe", identity.former_id())
    return identity.known_ids()  # type: ignore[return-value]


def test_calibrations_under_the_former_name_are_still_found(
    two_ids: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(folders.CALIBRATION_FOLDER_ENV, str(tmp_path / "cache"))
    for name in two_ids:
        store(tmp_path, Calibration.model_validate(calibration() | {"host": name}))

    assert [one.host for one in calibrated.known_calibrations(tmp_path)] == list(two_ids)


def test_an_earlier_version_that_is_measuring_is_noticed(two_ids: tuple[str, str], tmp_path: Path) -> None:
    held = os.open(tmp_path / f"lock-{two_ids[1]}", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(Busy), lock.acquire(allow_concurrent=False, folder=tmp_path):
        pytest.fail("both hold it")
    with lock.acquire(allow_concurrent=True, folder=tmp_path) as beside:
        assert beside.held_by is not None
    os.close(held)
    with lock.acquire(allow_concurrent=False, folder=tmp_path) as alone:
        assert alone.held_by is None


def test_runs_are_of_two_machines_only_where_that_is_sure() -> None:
    def several(*hosts: dict[str, str]) -> bool:
        return are_several_machines({"host": one} for one in hosts)

    assert several({"machine_id": "a"}, {"machine_id": "b"})
    assert several({"name": "a"}, {"name": "b"})
    assert several({"machine_id": "a"}, {"name": "b"}, {"machine_id": "c"})
    assert not several({"machine_id": "a"}, {"machine_id": "a"})
    assert not several({"name": "a"}, {"machine_id": "b"})  # an earlier version's run: nobody knows
    assert not several({}, {})
    assert machine_of({"host": {}}) is None
