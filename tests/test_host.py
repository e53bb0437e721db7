"""What machine this is, on either system, and what it costs when nothing answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lmx_loadgen import host, packaged


@dataclass(frozen=True)
class Machine(host.Probe):
    """A machine made of answers."""

    files: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def run(self, command: Sequence[str]) -> str | None:
        return self.commands.get(" ".join(command))


def test_a_mac() -> None:
    found = host.facts(
        Machine(
            "darwin",
            commands={
                "sysctl -n hw.memsize": "206158430208",
                "sysctl -n machdep.cpu.brand_string": "Apple M2 Ultra",
                "sw_vers -productVersion": "15.1",
            },
        )
    )

    assert found["chip"] == "Apple M2 Ultra"
    assert (found["memory_gb"], found["os"], found["os_version"]) == (192.0, "macOS", "15.1")


def test_a_linux_machine() -> None:
    found = host.facts(
        Machine(
            "linux",
            files={
                "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Some Chip @ 3 GHz\nprocessor\t: 1\nmodel name\t: x\n",
                "/proc/meminfo": "MemTotal:       16384000 kB\nMemFree: 1 kB\n",
                "/etc/os-release": 'NAME="x"\nPRETTY_NAME="Some Linux 12"\n',
            },
        )
    )

    assert found["chip"] == "Some Chip @ 3 GHz"
    assert (found["memory_gb"], found["os"], found["os_version"]) == (15.6, "Linux", "Some Linux 12")


def test_what_nobody_answers_is_none_and_never_raises() -> None:
    for system in ("darwin", "linux"):
        found = host.facts(Machine(system))
        assert (found["chip"], found["memory_gb"], found["os_version"]) == (None, None, None)
    nonsense = Machine("darwin", commands={"sysctl -n hw.memsize": "a lot"})
    assert host.facts(nonsense)["memory_gb"] is None


def test_a_command_that_is_not_there_or_fails_has_no_answer(tmp_path: Path) -> None:
    probe = host.Probe()

    assert probe.run([str(tmp_path / "no-such-command")]) is None
    assert probe.run(["false"]) is None
    assert probe.run(["printf", "\\377x\n"]) == "\ufffdx"
    assert probe.read(str(tmp_path)) is None


def test_the_host_s_own_name_is_not_told() -> None:
    import platform

    assert len(host.host_name()) == 8
    assert platform.node() not in str(host.facts())


def test_the_block_in_the_background_ends_as_it_began_also_after_an_error() -> None:
    import os

    before = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    try:
        with host.in_background():
            raise RuntimeError
    except RuntimeError:
        pass
    assert (os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None) == before


def test_data_folders_are_found_in_a_checkout_and_in_an_installed_package(tmp_path: Path) -> None:
    package = tmp_path / "lmx_loadgen"
    package.mkdir()
    assert packaged.folder("profiles", package) == tmp_path / "profiles"

    (package / "_data" / "profiles").mkdir(parents=True)
    assert packaged.folder("profiles", package) == package / "_data" / "profiles"
    assert (packaged.folder("profiles") / "quick.yaml").is_file()
    assert (packaged.folder("reference") / "published.yaml").is_file()
