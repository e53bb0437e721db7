"""The measuring processes of a run: on this machine, or one on each node of a cluster."""

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lmx_loadgen.errors import InputError, LoadgenError
from lmx_loadgen.load.handle import WorkerHandle
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.instrument import instrument
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.system import identity
from lmx_loadgen.system.api_keys import without_keys
from lmx_loadgen.system.lock import describe
from lmx_loadgen.targets.address import is_loopback
from lmx_loadgen.targets.base import Target
from lmx_loadgen.targets.keys import key_variables
from lmx_loadgen.wire.stamps import StampSource

if TYPE_CHECKING:
    from lmx_loadgen.cluster.connection import Node


@dataclass(frozen=True)
class Workers:
    """Handles on the processes, and how these measure. `nodes` are the machines that they are on, of a cluster, in the
    same order, and `beside` says who was measuring on which of them already, by the node's label."""

    handles: Sequence[WorkerHandle]
    loop: str
    stamps: StampSource
    nodes: "Sequence[Node]" = ()
    beside: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What the user should know before measuring."""
        return [
            f"{label} measures beside another lmx-loadgen {describe(holder)}: both are slower for it"
            for label, holder in self.beside.items()
        ]


def start_workers(profile: Profile, options: Options, stack: contextlib.ExitStack, stop: StopFlag) -> Workers:
    """Start them; they end with `stack`. Raises InputError, for a cluster Unreachable, and Interrupted."""
    if options.cluster is not None:
        return _on_nodes(profile, options, options.cluster, stack, stop)
    loop, stamps = instrument(options)
    handles = [options.start_worker(loop, stamps, child_environment(profile)) for _ in range(options.workers)]
    for handle in handles:
        stack.callback(handle.close)
    return Workers(handles, loop, stamps)


def child_environment(profile: Profile) -> dict[str, str]:
    """This process's environment without keys."""
    return without_keys(os.environ, key_variables(profile.targets))


def _on_nodes(profile: Profile, options: Options, address: str, stack: contextlib.ExitStack, stop: StopFlag) -> Workers:
    from lmx_loadgen.cluster.connection import connected
    from lmx_loadgen.cluster.remote_worker import RemoteWorker

    nodes = stack.enter_context(connected(address, options.nodes, stop.check))
    _check_files(profile, nodes)
    loop, stamps = instrument(_what_all_have(options, nodes))
    handles: list[WorkerHandle] = []
    for node in nodes:
        worker = RemoteWorker(node, loop, stamps, key_variables(profile.targets))
        stack.callback(worker.close)
        handles.append(worker)
    return Workers(handles, loop, stamps, nodes, _locked(nodes))


def _locked(nodes: "Sequence[Node]") -> dict[str, dict[str, Any]]:
    """Take the lock of each machine but this one, which has it, and say who measures there already."""
    from lmx_loadgen.cluster.connection import node_errors

    found, machines = {}, {identity.machine_id()}
    for node in nodes:
        if node.facts.machine_id not in machines:
            machines.add(node.facts.machine_id)
            with node_errors(lambda why, label=node.label: LoadgenError(f"{label} was lost: {why}")):  # type: ignore[misc]
                holder = node.ray.get(node.actor.take_lock.remote())
            if holder is not None:
                found[node.label] = holder
    return found


def _what_all_have(options: Options, nodes: "Sequence[Node]") -> Options:
    """The options with the finest loop and stamps that every node has, where none are asked for. Raises InputError for
    one that a node does not have."""
    for node in nodes:
        for flag, asked, has in (
            ("--loop uvloop", options.loop == "uvloop", node.facts.has_uvloop),
            ("--stamps kernel", options.stamps == "kernel", node.facts.has_kernel_stamps),
        ):
            if asked and not has:
                raise InputError(f"{flag}: {node.label} does not have it; leave the flag out")
    loop = options.loop or (None if all(node.facts.has_uvloop for node in nodes) else "asyncio")
    stamps = options.stamps or (None if all(node.facts.has_kernel_stamps for node in nodes) else "loop")
    return replace(options, loop=loop, stamps=stamps)


def _check_files(profile: Profile, nodes: "Sequence[Node]") -> None:
    """Raises InputError for a node that may not open its share of the connections."""
    needed = math.ceil(profile.load.heaviest().slots / len(nodes)) * len(profile.targets)
    for node in nodes:
        if needed > (most := node.facts.most_connections):
            raise InputError(
                f"{profile.load.heaviest().label} needs {needed} connections on {node.label}, and Ray may open {most} "
                "there: run `ulimit -S -n` with more before `ray start`, measure with more nodes, or lower the load"
            )


def check_reachable(targets: Sequence[Target], nodes: "Sequence[Node]") -> None:
    """Raises InputError for a target whose address means another machine on a node."""
    here = identity.machine_id()
    for node in nodes:
        for target in targets:
            if node.facts.machine_id != here and is_loopback(target.base_url):
                raise InputError(
                    f"target {target.name}: {target.base_url} is this machine's own address, and {node.label} is "
                    "another machine; give the server's address in the network"
                )


def node_lines(workers: Workers, calibrations: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """What the run's header says of each node."""
    return [
        {
            "name": node.label,
            "host": node.facts.host,
            "versions": node.facts.versions,
            "tool_version": node.facts.tool_version,
            "most_connections": node.facts.most_connections,
            "calibration": calibration,
            "beside": workers.beside.get(node.label),
        }
        for node, calibration in zip(workers.nodes, calibrations, strict=True)
    ]
