"""Heavy load goes to the user's own machines, and to others only on the owner's word. No name is looked up here."""

import errno
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Load, Profile, TargetSpec
from lmx_loadgen.session import ownership
from lmx_loadgen.session.ownership import check_owned, is_public, resolved
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from tests.helpers.cli import lmx_loadgen


def profile(url: str, **load: Any) -> Profile:
    return Profile(targets=[TargetSpec(name="mine", url=url)], load=Load(**{"concurrency": [8], **load}))


def nowhere(host: str) -> Sequence[str]:
    raise AssertionError(f"{host} was looked up")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.31.0.9", False),
        ("192.168.1.20", False),
        ("169.254.3.4", False),
        ("100.101.102.103", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%en0", False),
        ("fd12::7", False),
        ("::ffff:192.168.1.20", False),
        ("8.8.8.8", True),
        ("172.32.0.1", True),
        ("100.128.0.1", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
    ],
)
def test_which_addresses_are_of_the_open_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"concurrency": [1, 5]}, "concurrency 5 (over 4)"),
        ({"concurrency": [4], "requests": 200, "warmup": 1}, "204 requests (over 200)"),
        ({"concurrency": [1, 2], "requests": 120}, "requests (over 200)"),
        ({"concurrency": [1], "duration": "3m"}, "180 s of load (over 120)"),
    ],
)
def test_a_heavy_load_on_a_public_address_is_refused(load: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_owned(profile("http://8.8.8.8:1234", **load), nowhere)
    assert words in str(caught.value)
    assert "8.8.8.8 is on the open internet" in str(caught.value)
    assert "--i-own-this-server" in str(caught.value)


@pytest.mark.parametrize(
    "load",
    [
        {"concurrency": [1, 4], "requests": 12},
        {"concurrency": [4], "requests": 196, "warmup": 1},
        {"concurrency": [1], "duration": "2m"},
    ],
)
def test_a_first_look_at_a_public_address_is_not(load: dict[str, Any]) -> None:
    check_owned(profile("http://8.8.8.8:1234", **load), nowhere)


def test_a_heavy_load_at_home_is_nobody_s_business() -> None:
    for host in ("127.0.0.1", "[::1]", "192.168.1.20"):
        check_owned(profile(f"http://{host}:1234", concurrency=[4096]), nowhere)
    check_owned(Profile(targets=[TargetSpec(name="sim"), TargetSpec(name="lmx")], load=Load(concurrency=[64])), nowhere)


def test_a_name_counts_by_the_worst_of_its_addresses() -> None:
    check_owned(profile("http://mac-studio.local:1234"), lambda host: ["192.168.1.20", "fe80::1"])
    with pytest.raises(InputError, match=r"api\.example\.com \(8\.8\.8\.8\) is on the open internet"):
        check_owned(profile("https://api.example.com"), lambda host: ["192.168.1.20", "8.8.8.8"])


def test_a_name_that_nobody_knows_is_left_to_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert resolved("no-such-host.invalid") == []
    check_owned(profile("http://no-such-host.invalid"))


def test_a_resolver_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    never = threading.Event()
    monkeypatch.setattr(ownership, "_RESOLVE_S", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: never.wait(30) and [])
    assert resolved("slow.invalid") == []
    never.set()


def test_run_refuses_before_anything_is_sent_or_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "resolved", lambda host: ["8.8.8.8"])
    arguments = ["run", "-t", "openai=http://llm.example.com", "-c", "16", "--out", str(tmp_path)]
    refused = lmx_loadgen(*arguments)

    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: target openai: llm.example.com (8.8.8.8) ")
    assert len(refused.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_owner_s_word_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int) -> None:
    monkeypatch.setattr(ownership, "is_public", lambda address: True)
    arguments = ["run", "-t", f"openai=http://127.0.0.1:{unused_port}", "-c", "16", "--out", str(tmp_path)]

    assert lmx_loadgen(*arguments).exit_code == 2
    assert lmx_loadgen(*arguments, "--i-own-this-server").exit_code == 10  # nothing answers there


# Our own server


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_the_simulator_listens_on_127_0_0_1_alone_unless_told_otherwise() -> None:
    with start() as sim, socket.socket() as other:
        assert sim.url == f"http://127.0.0.1:{sim.port}"
        assert other.connect_ex(("127.0.0.2", sim.port)) == errno.ECONNREFUSED
    with start(SimSettings(host="127.0.0.2")) as sim, socket.create_connection(("127.0.0.2", sim.port), 5):
        pass


def test_a_load_that_goes_on_until_it_is_conclusive_is_heavy_wherever_it_begins() -> None:
    profile = Profile(
        targets=[TargetSpec(name="ollama", url="http://8.8.8.8"), TargetSpec(name="lmx")],
        load=Load(concurrency=[1], requests=12, warmup=0),
    )

    check_owned(profile)
    with pytest.raises(InputError, match="to add blocks as long as it takes"):
        check_owned(profile, goes_on=True)
