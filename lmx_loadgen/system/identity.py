"""Which machine this is, as a short hash that tells it from others and no more."""

import functools
import hashlib
import platform

from lmx_loadgen.system import linux, macos
from lmx_loadgen.system.probe import Probe


def machine_id(probe: Probe | None = None) -> str:
    """Eight hexadecimal characters, the same whatever network the machine is in and whatever it is called.

    Where the system has no identity of its own (some containers), that of earlier versions has to do.
    """
    return _machine_id() if probe is None else _hashed(probe) or former_id()


def former_id() -> str:
    """How earlier versions named this machine, in files that they wrote: by the host's name, which on a Mac follows
    DHCP and reverse DNS, and changes with the network."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def known_ids() -> tuple[str, ...]:
    """Every name that files of this machine go by, the present one first."""
    return tuple(dict.fromkeys((machine_id(), former_id())))


@functools.cache
def _machine_id() -> str:
    return _hashed(Probe()) or former_id()


def _hashed(probe: Probe) -> str | None:
    own = macos.platform_uuid(probe) if probe.system == "darwin" else linux.machine_id(probe)
    # Keyed, so that the hash is of no use beside those that other programs make of the same identity.
    return own and hashlib.blake2b(own.encode(), key=b"lmx-loadgen", digest_size=4).hexdigest()
