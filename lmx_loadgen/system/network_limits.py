"""What the system's network bounds a load by: source ports to connect from, and the listen queue of a server here.

On Linux a port serves one connection to each server, on macOS one in all: its `connect` takes any port that is unused
at the local address, out of `net.inet.ip.portrange.first` to `.last` (xnu, bsd/netinet/in_pcb.c).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lmx_loadgen.errors import InputError
from lmx_loadgen.system.macos import SYSCTL, values, whole
from lmx_loadgen.system.probe import Probe

_IPV4 = "/proc/sys/net/ipv4"
_KEYS = (
    *("net.inet.ip.portrange.first", "net.inet.ip.portrange.last"),
    *("net.inet.tcp.tw_pcbcount", "kern.ipc.somaxconn"),
)
COMMANDS = {"network": (SYSCTL, "-i", *_KEYS)}
# How long a port is held once its connection has ended (twice the longest life of a segment), in seconds.
_HELD_S = {"linux": 60, "darwin": 30}
_ALL_PORTS = 2**16 - 1024
WIDEN_COMMAND = {
    "linux": "sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
    "darwin": "sudo sysctl -w net.inet.ip.portrange.first=1024",
}
# A load so many times the listen queue is one that it takes: connections wait in it for milliseconds.
_LOAD_OF_QUEUE = 4
# How a longer one is asked for.
QUEUE_COMMAND = {
    "linux": "sudo sysctl -w net.core.somaxconn=16384",
    "darwin": "sudo sysctl -w kern.ipc.somaxconn=2048",
}


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """None is what the system does not tell.

    Attributes:
        system: as `sys.platform` has it.
        source_ports: how many connections can be opened: to each server, or in all where `is_shared`.
        held: how many ports are held by connections that have ended, of any process.
        reuses_held: whether such a port can be taken again at once, for connections on this machine.
        listen_queue: how many connections may wait until a server on this machine accepts them.
    """

    system: str
    source_ports: int | None
    held: int = 0
    reuses_held: bool = False
    listen_queue: int | None = None

    @property
    def is_shared(self) -> bool:
        """Whether connections to different servers need ports of their own."""
        return self.system == "darwin"

    @property
    def easy_load(self) -> int | None:
        """How many connections the listen queue takes without care in how they are opened."""
        return None if self.listen_queue is None else _LOAD_OF_QUEUE * self.listen_queue


def network_limits(probe: Probe | None = None) -> NetworkLimits:
    """Those of this machine."""
    probe = probe or Probe()
    return _of_a_mac(probe) if probe.system == "darwin" else _of_linux(probe)


def _of_linux(probe: Probe) -> NetworkLimits:
    first, last = _pair(probe.read(f"{_IPV4}/ip_local_port_range"))
    ports = None
    if first is not None and last is not None:
        ports = last - first + 1 - _reserved(probe.read(f"{_IPV4}/ip_local_reserved_ports") or "", first, last)
    counts = (probe.read("/proc/net/sockstat") or "").partition("TCP:")[2].partition("\n")[0].split()
    reuse = (probe.read(f"{_IPV4}/tcp_tw_reuse") or "").strip()
    return NetworkLimits(
        system=probe.system,
        source_ports=ports,
        held=whole(dict(zip(counts[::2], counts[1::2], strict=False)).get("tw")) or 0,
        reuses_held=reuse in ("1", "2"),  # 2: on the loopback device alone
        listen_queue=whole((probe.read("/proc/sys/net/core/somaxconn") or "").strip()),
    )


def _of_a_mac(probe: Probe) -> NetworkLimits:
    said = values(probe.run(COMMANDS["network"]))
    first, last, held, queue = (whole(said.get(key)) for key in _KEYS)
    ports = None if first is None or last is None else abs(last - first) + 1
    return NetworkLimits(probe.system, ports, held or 0, listen_queue=queue)


def _pair(said: str | None) -> tuple[int | None, int | None]:
    words = (said or "").split()
    return (whole(words[0]), whole(words[1])) if len(words) == 2 else (None, None)


def _reserved(said: str, first: int, last: int) -> int:
    """How many ports of a range are kept back: `8080,40000-40009`."""
    count = 0
    for part in said.strip().split(","):
        low, _, high = part.partition("-")
        begin, end = whole(low), whole(high or low)
        if begin is not None and end is not None:
            count += max(0, min(end, last) - max(begin, first) + 1)
    return count


def require_ports(connections: Mapping[str, int], what: str, *, is_local: bool, probe: Probe | None = None) -> None:
    """Raises InputError where `what` needs more source ports than there are, with what helps.

    `connections` are those to each server, by its address; `is_local` says that all of them are on this machine.
    """
    limits = network_limits(probe)
    needed = sum(connections.values()) if limits.is_shared else max(connections.values(), default=0)
    if limits.source_ports is None or needed <= limits.source_ports - _still_held(limits, is_local):
        return
    each = "" if limits.is_shared or len(connections) == 1 else " for each server"
    if needed > limits.source_ports:
        widen = f"widen the range with `{WIDEN_COMMAND[limits.system]}`, or lower the load"
        help_ = widen if needed <= _ALL_PORTS else f"lower the load, no machine has over {_ALL_PORTS}"
        has = f"this machine has {limits.source_ports}"
        raise InputError(f"{what} needs {needed} source ports{each}, and {has}: {help_}")
    raise InputError(
        f"{what} needs {needed} source ports{each}, and {limits.held} of this machine's {limits.source_ports} are held "
        f"by connections that have just ended: wait {_HELD_S[limits.system]} s, or lower the load"
    )


def _still_held(limits: NetworkLimits, is_local: bool) -> int:
    return 0 if limits.reuses_held and is_local else limits.held
