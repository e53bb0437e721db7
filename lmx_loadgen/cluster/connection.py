"""The connection to a Ray cluster, and one worker on each of its nodes.

Ray's own ways are kept out of what a user sees: its logs, its handler of SIGTERM, its errors of many lines. Messages
to the nodes are arguments of calls; a `runtime_env`, which Ray writes to files, is never used.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lmx_loadgen import __version__
from lmx_loadgen.cluster.facts import NodeFacts
from lmx_loadgen.cluster.node import NodeWorker
from lmx_loadgen.cluster.versions import check_versions
from lmx_loadgen.errors import InputError, LoadgenError, Unreachable

AUTO = "auto"
_NOT_INSTALLED = "--cluster needs Ray: pip install 'lmx-loadgen[cluster]'"
_TCP_S = 5.0
_CONNECT_S = 30.0
_NODE_UP_S = 60.0
_LOOK_S = 0.1
# Threads of the actor: what the run asks beside the wait for news, and a calibration.
_AT_ONCE = 8


@dataclass(frozen=True)
class Node:
    """One machine of the cluster, as a user may call it, with the actor on it."""

    label: str
    actor: Any
    ray: Any
    facts: NodeFacts

    def let_go(self) -> None:
        """End the actor, and with it all that it started."""
        with contextlib.suppress(Exception):  # it may be gone, and so may the whole cluster
            self.ray.kill(self.actor)


@contextlib.contextmanager
def connected(address: str, wanted: int | None, check: Callable[[], None]) -> Iterator[list[Node]]:
    """The nodes of a cluster that are to measure: all, or as many as wanted. `check` is called while this waits.

    Raises InputError, Unreachable, and what `check` raises.
    """
    ray = _ray()
    is_ours = not ray.is_initialized()
    if is_ours:
        _connect(ray, address, check)
    try:
        nodes = _placed(ray, address, wanted, check)
        try:
            check_versions({node.label: node.facts for node in nodes})
            yield nodes
        finally:
            for node in nodes:
                node.let_go()
    finally:
        if is_ours:
            ray.shutdown()


@contextlib.contextmanager
def node_errors(gone: Callable[[str], LoadgenError]) -> Iterator[None]:
    """Raises `gone`, with a few words, where Ray says that a node does not answer, or what it raised."""
    from ray.exceptions import GetTimeoutError, RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        raise gone(_one_line(getattr(error, "cause", error))) from None
    except GetTimeoutError:
        raise gone("it did not answer in time") from None
    except (RayError, ConnectionError):
        raise gone("the machine, or Ray on it, is gone") from None


def _ray() -> Any:
    """The package, kept quiet. Raises InputError where it is not installed."""
    # `uv run` would have Ray upload the folder that the run is in.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError:
        raise InputError(_NOT_INSTALLED) from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # Ray prints what befalls its nodes, also between the lines of `--json`; the run tells it in its own words.
    with contextlib.suppress(AttributeError):
        ray._private.worker.print_to_stdstream = lambda *lines, **settings: None
    return ray


def _connect(ray: Any, address: str, check: Callable[[], None]) -> None:
    """Raises InputError and Unreachable."""
    if address != AUTO:
        _check_listens(address)
    failed: list[BaseException] = []

    def connect() -> None:
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False, logging_level=logging.CRITICAL)
        except BaseException as error:
            failed.append(error)

    # Not on the main thread, where Ray would take SIGTERM for itself, and keep Ctrl-C waiting for minutes.
    thread = threading.Thread(target=connect, name="connecting to Ray", daemon=True)
    thread.start()
    until = time.monotonic() + _CONNECT_S
    while thread.is_alive() and time.monotonic() < until:
        check()
        thread.join(_LOOK_S)
    if thread.is_alive():
        raise Unreachable(
            f"--cluster {address}: what listens there did not answer as a Ray cluster in {_CONNECT_S:g} s"
        )
    if failed:
        raise _not_connected(address, failed[0])
    _take_back_sigterm()


def _take_back_sigterm() -> None:
    """Put this process's own handler, whatever that is, in the place of Ray's, which prints a stack before it."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _not_connected(address: str, error: BaseException) -> LoadgenError:
    if "ersion mismatch" in str(error):
        return InputError(f"--cluster {address}: {_one_line(error)}")
    if address == AUTO:
        return Unreachable(
            "--cluster auto: no Ray cluster runs on this machine; start one with `ray start --head`, or give HOST:PORT"
        )
    return Unreachable(f"--cluster {address}: Ray could not connect: {_one_line(error)}")


def _check_listens(address: str) -> None:
    """Raises InputError for what is no address, and Unreachable where nothing listens: Ray would try for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.scheme not in ("", "ray"):
        raise InputError(f"--cluster {address}: give auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), _TCP_S).close()
    except OSError as error:
        raise Unreachable(
            f"--cluster {address}: nothing answers there ({error.strerror or error}); start Ray with `ray start --head "
            f"--port={port}`, or give the address of a cluster that runs"
        ) from None


def _placed(ray: Any, address: str, wanted: int | None, check: Callable[[], None]) -> list[Node]:
    """A worker on each of the nodes, and never two on one, in an order that stays. One that is gone, though the cluster
    still lists it, is passed over. Raises InputError for a node that cannot measure, and where there are too few."""
    listed = sorted(
        (node for node in ray.nodes() if node["Alive"]), key=lambda node: (node["NodeManagerAddress"], node["NodeID"])
    )
    nodes: list[Node] = []
    most = len(listed) if wanted is None else wanted
    while listed and len(nodes) < most:
        tried, listed = listed[: most - len(nodes)], listed[most - len(nodes) :]
        actors = [_actor_on(ray, node["NodeID"]) for node in tried]
        asked = [actor.facts.remote() for actor in actors]
        for node, actor, facts in zip(tried, actors, asked, strict=True):
            label = f"node {len(nodes) + 1} ({node['NodeManagerAddress']})"
            if (found := _facts(ray, label, facts, check)) is not None:
                nodes.append(Node(label, actor, ray, found))
    if len(nodes) < (wanted or 1):
        has = f"{len(nodes)} node{'s' * (len(nodes) != 1)}"
        raise InputError(
            f"--nodes {wanted or 1}: the cluster at {address} has {has}; start more with "
            "`ray start --address=HOST:PORT`, or ask for fewer"
        )
    return nodes


def _actor_on(ray: Any, node_id: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    options = {"num_cpus": 0, "max_concurrency": _AT_ONCE, "max_restarts": 0, "scheduling_strategy": there}
    return ray.remote(NodeWorker).options(**options).remote()


def _facts(ray: Any, label: str, asked: Any, check: Callable[[], None]) -> NodeFacts | None:
    """What a node says of itself; None where it is gone. Raises InputError where this package is not there."""
    from ray.exceptions import RayError

    until = time.monotonic() + _NODE_UP_S
    while time.monotonic() < until and not ray.wait([asked], timeout=_LOOK_S)[0]:
        check()
    try:
        facts: NodeFacts = ray.get(asked, timeout=0.0)
        return facts
    except RayError as error:
        if "failed to import" not in str(error):
            return None
        last = str(error).strip().splitlines()[-1]
        raise InputError(
            f"{label} cannot measure: {last}; install lmx-loadgen {__version__} there, in the Python that Ray runs in"
        ) from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
