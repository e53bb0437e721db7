"""A Ray cluster on this machine, made of real raylets: each node is a `ray start` of its own that this ends again.

Where the system lets an ordinary user do so, every node but the first has a monotonic clock that is set otherwise, as
on a machine of its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.paths import ROOT

_UP_S = 60.0
# Seconds that the clocks of the second, third and fourth node are ahead.
_AHEAD_S = (1_000, 2_500, 70_000)


class LocalCluster:
    """`nodes` are the processes of `ray start`, the head first."""

    def __init__(self, folder: Path, nodes: int, own_clocks: bool = True) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.folder = folder
        self.address = f"127.0.0.1:{port}"
        self.has_own_clocks = own_clocks and bool(_ahead(1))
        self._log = (folder / "ray.log").open("wb")
        self.nodes = [self._start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}/r")]
        _until(lambda: _listens(port) and self._sockets() > 0, "the head of the Ray cluster")
        for _ in range(nodes - 1):
            self.add()

    def add(self) -> None:
        """One more node; it is there once the cluster lists it."""
        seconds = _AHEAD_S[(len(self.nodes) - 1) % len(_AHEAD_S)]
        ahead, before = _ahead(seconds) if self.has_own_clocks else (), self._sockets()
        self.nodes.append(self._start(f"--address={self.address}", ahead=ahead))
        # Two that begin at once may take each other's names and ports.
        _until(lambda: self._sockets() > before, "a node of the Ray cluster")

    def _sockets(self) -> int:
        return len(list(self.folder.glob("r/session_latest/sockets/raylet*")))

    def _start(self, *flags: str, ahead: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
        ray = (sys.executable, "-m", "tests.helpers.ray_on_loopback")
        fixed = ("--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=80000000", "--block")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
        return subprocess.Popen(
            [*ahead, *ray, "start", *flags, *fixed],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )

    def kill(self, place: int) -> None:
        """A node is gone from one moment to the next, with all that Ray runs on it: they are one group of processes."""
        node = self.nodes.pop(place)
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def close(self) -> None:
        while self.nodes:
            self.kill(-1)
        self._log.close()


@contextmanager
def local_cluster(nodes: int, *, own_clocks: bool = True) -> Iterator[LocalCluster]:
    """One with so many nodes. Its folder has a short name: a socket's may have 107 characters in all."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    cluster = LocalCluster(folder, nodes, own_clocks)
    try:
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


def _ahead(seconds: int) -> tuple[str, ...]:
    """What to put before a command to have its monotonic clock so far ahead; nothing where that is not allowed."""
    as_user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    words = ("unshare", *as_user, "--time", "--monotonic", str(seconds), "--fork", "--kill-child")
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        return ()
    return words


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _until(is_there, what: str) -> None:  # type: ignore[no-untyped-def]
    until = time.monotonic() + _UP_S
    while not is_there():
        assert time.monotonic() < until, f"{what} did not come up"
        time.sleep(0.05)


@contextmanager
def on_loopback() -> Iterator[None]:
    """Have Ray in this process take a loopback address for what it is."""
    from ray._private import ray_constants

    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def nodes_up(cluster: LocalCluster, ever: int) -> None:
    """Wait until so many nodes have come up, those among them that are gone."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    try:
        _until(lambda: len(ray.nodes()) == ever, f"a cluster of {ever} nodes")
    finally:
        ray.shutdown()
