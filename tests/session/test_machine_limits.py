"""What bounds a load is the machine: ten thousand streams are a load like any other, and what they need is checked."""

from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.api.keywords import arguments
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.load_point import Closed, Open, Sessions
from lmx_loadgen.profile.models import Load, Profile
from lmx_loadgen.session import machine_limits
from lmx_loadgen.session.options import Options
from lmx_loadgen.system import open_files
from tests.helpers.cli import lmx_loadgen
from tests.system.test_network_limits import linux, mac

MANY = 10_000


@pytest.fixture
def enough_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "most_connections", lambda: 60_000)


def profile(concurrency: int = MANY, targets: tuple[str, ...] = ("a=http://127.0.0.1:1234",)) -> Profile:
    return Profile.model_validate({"targets": targets, "load": {"concurrency": concurrency}})


@pytest.mark.parametrize(
    ("load", "point"),
    [
        ({"concurrency": MANY}, Closed(concurrency=MANY)),
        ({"users": MANY}, Sessions(users=MANY)),
        ({"rate": 5, "max_in_flight": MANY}, Open(rate=5, max_in_flight=MANY)),
    ],
)
def test_a_profile_may_ask_for_ten_thousand(load: dict[str, Any], point: object) -> None:
    (found,) = Load.model_validate(load).points()

    assert found == point
    assert found.slots == MANY


def test_python_may_ask_for_ten_thousand() -> None:
    assert arguments(["sim"], {"concurrency": MANY}).profile.load.concurrency == [MANY]


@pytest.mark.parametrize("flags", [("-c", "10000"), ("--rate", "5", "--max-in-flight", "10000")])
@pytest.mark.usefixtures("enough_files")
def test_flags_may_ask_for_ten_thousand(flags: tuple[str, ...], tmp_path: Path) -> None:
    result = lmx_loadgen("run", *flags, "--dry-run", "--out", tmp_path)

    assert result.exit_code == 0, result.stderr
    assert "10000" in result.stdout
    assert ("1 measuring process" in result.stdout) == ("-c" in flags)  # as nothing is calibrated; 5 req/s are light


@pytest.mark.usefixtures("enough_files")
def test_source_ports_are_checked_before_the_run() -> None:
    machine_limits.require(profile(), 1, linux())
    machine_limits.require(profile(), 1, mac())
    with pytest.raises(InputError, match=r"^concurrency 40000 needs 40000 source ports, and this machine has 28232: "):
        machine_limits.require(profile(40_000), 1, linux())
    with pytest.raises(InputError, match=r"^concurrency 10000 needs 20000 source ports, .* has 16384: "):
        machine_limits.require(profile(targets=("a=http://127.0.0.1:1", "b=http://127.0.0.1:2")), 1, mac())


@pytest.mark.usefixtures("enough_files")
def test_two_targets_at_one_address_share_its_ports() -> None:
    same = profile(15_000, ("a=http://10.0.0.7:1", "b=http://10.0.0.7:1"))
    with pytest.raises(InputError, match=r"^concurrency 15000 needs 30000 source ports, .* has 28232"):
        machine_limits.require(same, 1, linux())


def test_open_files_are_checked_for_each_worker_s_own_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "most_connections", lambda: 6_000)
    monkeypatch.setattr(open_files, "raise_limit", lambda: 6_064)

    machine_limits.require(profile(), 2, linux())
    with pytest.raises(InputError, match=r"^concurrency 10000 needs 10064 open files, .* may have 6064: .*") as raised:
        machine_limits.require(profile(), 1, linux())
    assert str(raised.value).endswith(", or use --workers 2, or lower the load")
    with pytest.raises(InputError, match=r", or lower the load$") as raised:
        machine_limits.require(profile(targets=("sim",)), 1, linux())  # which has all connections itself
    assert "--workers" not in str(raised.value)


def test_a_load_far_over_the_listen_queue_is_told_of_beforehand() -> None:
    (words,) = machine_limits.warnings(profile(), Options(), mac())

    assert words.startswith("a: 10000 connections, and this machine queues at most 128 for a server.")
    assert "opened 64 at a time" in words
    assert "sudo sysctl -w kern.ipc.somaxconn=" in words


@pytest.mark.parametrize(
    ("concurrency", "target"), [(512, "a=http://127.0.0.1:1"), (MANY, "a=http://192.168.1.7:1"), (MANY, "sim")]
)
def test_an_ordinary_load_and_a_queue_elsewhere_are_not(concurrency: int, target: str) -> None:
    probe = mac() if target != "sim" else linux()
    assert machine_limits.warnings(profile(concurrency, (target,)), Options(), probe) == []
