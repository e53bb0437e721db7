"""How many processes measure: as many as the calibration says that the load needs, as far as there are cores."""

import math
import socket
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from lmx_loadgen import __version__
from lmx_loadgen.analysis.formats import plural
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.session.calibrated import calibration_for_run, known_calibrations
from lmx_loadgen.session.instrument import instrument
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.ownership import addresses_of
from lmx_loadgen.session.setup import Calibrated
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import View
from lmx_loadgen.store.calibration import find
from lmx_loadgen.system import host
from lmx_loadgen.targets.address import dialect_of, is_loopback

# A user of a fast local server sees up to this many chunks a second.
_FAST_CHUNKS_PER_S = 100
# What one process takes in on any machine: a load below needs no calibration to be given one.
_SURE_CHUNKS_PER_S = 12_800


def with_calibration(
    options: Options, profile: Profile, stop: StopFlag, view: View, *, chooses_workers: bool, calibrates: bool
) -> tuple[Options, Calibrated | None]:
    """The options with their measuring processes, where nobody chose them, and what gives the run its calibration.

    Raises what a calibration raises, where one has to be made to decide.
    """
    if not chooses_workers:
        one = replace(options, workers=1)
        options = with_workers(options, profile, calibration_for_run(one, stop, view) if calibrates else None)
    return options, calibration_for_run(options, stop, view) if calibrates else None


def with_workers(options: Options, profile: Profile, calibrated: Calibrated | None) -> Options:
    """The options with as many measuring processes as the profile's heaviest load needs, and why so many.

    One core is left to a server on this machine, and slow cores to everything else. A heavy load on a machine that was
    never calibrated is what `calibrated` is asked for first, where there is a choice. Raises what that raises.
    """
    slots = profile.load.likely_in_flight()
    sustained = _sustained(options)
    if slots * _FAST_CHUNKS_PER_S <= max(sustained or 0.0, _SURE_CHUNKS_PER_S):
        return replace(options, workers=1, workers_why=None)
    is_elsewhere = _are_elsewhere(profile.targets)
    most = max(1, host.fast_cores() - (0 if is_elsewhere else 1))
    if sustained is None and calibrated is not None and most > 1:
        loop, stamps = instrument(options)
        calibrated(loop, stamps.value)
        sustained = _sustained(options)
    needed = None if sustained is None else math.ceil(slots * _FAST_CHUNKS_PER_S / sustained)
    number = min(needed or 1, most)
    return replace(options, workers=number, workers_why=_why(number, needed, most, slots, is_elsewhere=is_elsewhere))


def _why(number: int, needed: int | None, most: int, slots: int, *, is_elsewhere: bool) -> str | None:
    """A sentence on the number where it is not the usual one, or not all that the load needs."""
    if needed == 1:
        return None
    words = plural(number, "measuring process", "measuring processes")
    if needed is None and most > 1:
        return f"{words}: no calibration says how many this load needs (lmx-loadgen calibrate; --workers)"
    cores = "one for each fast core" if is_elsewhere else "one core is left to the server"
    if needed is None:
        return f"{words}: {cores}"
    load = f"{slots} streams of up to {_FAST_CHUNKS_PER_S} chunks/s"
    if number == needed:
        return f"{words}: the calibration says that {load} need {needed}"
    return f"{words}, {cores}: the calibration says that {load} would need {needed}"


def _sustained(options: Options) -> float | None:
    """How many chunks a second one process takes in here without being late; None where that is not known."""
    loop, stamps = instrument(options)
    found = find(known_calibrations(options.out), __version__, loop, stamps.value, 1)
    return None if found is None else found.sustained_chunks_per_s


def _are_elsewhere(targets: Sequence[TargetSpec]) -> bool:
    """Whether no target is on this machine, as far as their names can be resolved."""
    hosts = [urlsplit(spec.url or dialect_of(spec).default_url or "").hostname for spec in targets]
    return bool(hosts) and all(host is not None and _is_elsewhere(host) for host in hosts)


def _is_elsewhere(host: str) -> bool:
    if is_loopback(f"http://{f'[{host}]' if ':' in host else host}"):
        return False
    addresses = addresses_of(host)
    return bool(addresses) and not any(map(_is_own, addresses))


def _is_own(address: str) -> bool:
    """Whether an address is one of this machine's: no other can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
