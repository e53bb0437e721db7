"""The limit on open files: raised where it can be, and said before a run where it cannot."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Load, Profile, TargetSpec
from lmx_loadgen.session.jobs import most_connections
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.system import open_files

INFINITE = resource.RLIM_INFINITY
SOME = ("--warmup", "0", "--max-tokens", "4", "-n", "300", "--prompt", "Hi", "--no-stability", "--no-calibrate")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """A system with these limits, whose kernel refuses more than `kernel`; the limit as it is now, in a list."""

    def made(soft: int, hard: int, kernel: int = 10**9) -> list[int]:
        now = [soft]

        def change(kind: int, pair: tuple[int, int]) -> None:
            if pair[0] > kernel:
                raise ValueError("current limit exceeds maximum limit")
            now[0] = pair[0]

        monkeypatch.setattr(resource, "getrlimit", lambda kind: (now[0], hard))
        monkeypatch.setattr(resource, "setrlimit", change)
        return now

    return made


@pytest.mark.parametrize(
    ("soft", "hard", "kernel", "after"),
    [
        (256, INFINITE, 10**9, 65_536),
        (256, INFINITE, 61_440, 10_240),  # a Mac of 16 GB
        (256, 1024, 10**9, 1024),  # some launchers
        (256, INFINITE, 1000, 256),
        (256, 256, 10**9, 256),
        (100_000, INFINITE, 10**9, 100_000),
        (INFINITE, INFINITE, 10**9, INFINITE),
    ],
)
def test_it_is_raised_as_far_as_the_system_lets_it(
    soft: int, hard: int, kernel: int, after: int, limits: Callable[..., list[int]]
) -> None:
    now = limits(soft, hard, kernel)

    assert open_files.raise_limit() == (after if after != INFINITE else 65_536)
    assert now == [after]


@pytest.mark.parametrize(
    ("hard", "kernel", "command"),
    [(256, 10**9, "as root, .*`ulimit -H -n 364`.*`ulimit -S -n 364`"), (INFINITE, 200, "`ulimit -S -n 364` in this")],
)
def test_what_does_not_fit_is_said_with_the_command_that_helps(
    hard: int, kernel: int, command: str, limits: Callable[..., list[int]]
) -> None:
    limits(256, hard, kernel)
    with pytest.raises(InputError, match=f"^concurrency 300 needs 364 open files, .* may have 256: .*{command}"):
        open_files.require(300, "concurrency 300")
    open_files.require(100, "concurrency 100")


@pytest.mark.parametrize(
    ("targets", "workers", "most"),
    [(1, 1, 300), (2, 1, 600), (2, 4, 150), (3, 400, 3)],
)
def test_a_worker_keeps_its_connections_to_every_target(targets: int, workers: int, most: int) -> None:
    specs = [TargetSpec(name=f"t{number}", url="http://127.0.0.1:1") for number in range(targets)]
    profile = Profile(targets=specs, load=Load(concurrency=[1, 300]))

    assert most_connections(profile, workers) == most
    sim = profile.model_copy(update={"targets": [TargetSpec(name="sim")]})
    assert most_connections(sim, workers) == 300  # the simulator has all of them


def limited(limit: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """The tool in a shell of its own with this limit."""
    return in_shell(limit, "-m", "lmx_loadgen", *arguments)


def in_shell(limit: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Python in a shell of its own with this limit."""
    python = [sys.executable, *map(str, arguments)]
    command = ["bash", "-c", f'{limit} && exec "$@"', "bash", *python]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_run_at_300_in_a_shell_that_allows_256(tmp_path: Path) -> None:
    done = limited("ulimit -S -n 256", "run", "-c", "300", *SOME, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (log,) = tmp_path.glob("*/events.jsonl")

    assert [line["outcome"] for line in read_log(log).requests if line["phase"] == "measured"] == ["ok"] * 300


@pytest.mark.parametrize("command", [("run", "-c", "300", *SOME), ("calibrate", "--quick")])
def test_a_hard_limit_that_is_too_low_is_said_before_anything_is_measured(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = limited("ulimit -n 256", *command, "--out", tmp_path / "runs")

    assert done.returncode == 2
    assert "`ulimit -S -n " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


# A level of as many connections as the shipped table's highest, with fewer and shorter answers. What the tables give is
# held in `tests/calibration` and `tests/commands/test_cli.py`.
FEWER = """
import sys
from lmx_loadgen.calibration import run
from lmx_loadgen.cli import main
most = max(run.quick(), key=lambda one: one.concurrency)
run.quick = lambda: [run.Stretch(most.concurrency, most.concurrency, 4, most.stagger)]
run._BURST = run.Stretch(2, 4, 2_000, 0.0)
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_quick_calibration_in_a_shell_that_allows_256(tmp_path: Path) -> None:
    done = in_shell("ulimit -S -n 256", "-c", FEWER, "calibrate", "--quick", "--out", tmp_path, "--json")

    assert done.returncode == 0, done.stderr
    (level,) = json.loads(done.stdout)["levels"]
    assert (level["concurrency"], level["requests"], level["failed"]) == (1000, 1000, 0)
