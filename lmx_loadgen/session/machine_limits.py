"""What this machine bounds a load by, checked before a run: open files, source ports, the listen queue."""

import math
from collections import Counter
from urllib.parse import urlsplit

from lmx_loadgen.load.job import CONNECTING_AT_ONCE
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.session.jobs import most_connections
from lmx_loadgen.session.options import Options
from lmx_loadgen.system import network_limits, open_files
from lmx_loadgen.system.probe import Probe
from lmx_loadgen.targets.address import dialect_of, is_loopback


def require(profile: Profile, workers: int, probe: Probe | None = None) -> None:
    """Raises InputError where this machine cannot open as many connections as the heaviest load needs."""
    point = profile.load.heaviest()
    open_files.require(most_connections(profile, workers), point.label, _instead(profile, workers))
    servers = Counter(_server(spec) for spec in profile.targets)
    network_limits.require_ports(
        {server: point.slots * times for server, times in servers.items()},
        point.label,
        is_local=all(_is_here(spec) for spec in profile.targets),
        probe=probe,
    )


def _instead(profile: Profile, workers: int) -> str:
    """What helps beside more files for each process: more processes, unless the simulator has all connections."""
    each, slots = open_files.most_connections() // max(1, len(profile.targets)), profile.load.heaviest().slots
    number = math.ceil(slots / each) if each else slots
    if any(map(_is_started_here, profile.targets)) or number <= workers:
        return "lower the load"
    return f"use --workers {number}, or lower the load"


def warnings(profile: Profile, options: Options, probe: Probe | None = None) -> list[str]:
    """What a user should know before so heavy a load on this machine, a sentence each."""
    lines = [] if options.workers_why is None else [options.workers_why]
    return [*lines, *_queue_warning(profile, probe)]


def _queue_warning(profile: Profile, probe: Probe | None) -> list[str]:
    limits = network_limits.network_limits(probe)
    slots = profile.load.heaviest().slots
    here = [spec.name for spec in profile.targets if _is_here(spec)]
    if not here or limits.easy_load is None or slots <= limits.easy_load:
        return []
    queue, command = limits.listen_queue, network_limits.QUEUE_COMMAND[limits.system]
    return [
        f"{', '.join(here)}: {slots} connections, and this machine queues at most {queue} for a server. They are "
        f"opened {CONNECTING_AT_ONCE} at a time ahead of the load. A server that closes them after each answer delays "
        f"or refuses some; if so, run {command} and restart it."
    ]


def _server(spec: TargetSpec) -> str:
    """Host and port of a target; its name where a simulator is started for it."""
    address = spec.url or dialect_of(spec).default_url
    return urlsplit(address).netloc if address else spec.name


def _is_here(spec: TargetSpec) -> bool:
    address = spec.url or dialect_of(spec).default_url
    return address is None or is_loopback(address)


def _is_started_here(spec: TargetSpec) -> bool:
    return spec.url is None and dialect_of(spec).name == "sim"
