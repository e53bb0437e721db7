"""What the system tells of source ports and its listen queue, and what is refused before a run for want of ports."""

import re

import pytest

from lmx_loadgen.errors import InputError
from lmx_loadgen.system.network_limits import NetworkLimits, network_limits, require_ports
from lmx_loadgen.system.probe import Probe
from tests.helpers.machine import Machine
from tests.system.machine import Mac, recorded

# As a Linux 6 machine told it.
LINUX = {
    "/proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "/proc/sys/net/ipv4/ip_local_reserved_ports": "\n",
    "/proc/sys/net/ipv4/tcp_tw_reuse": "2\n",
    "/proc/sys/net/core/somaxconn": "4096\n",
    "/proc/net/sockstat": (
        "sockets: used 48\nTCP: inuse 34 orphan 0 tw 26 alloc 34 mem 243\nUDP: inuse 0 mem 0\n"
        "UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"
    ),
}
HERE = {"127.0.0.1:8080": 10_000}


def linux(**instead: str) -> Machine:
    named = {path.rpartition("/")[2]: path for path in LINUX}
    return Machine("linux", files=LINUX | {named[name]: said for name, said in instead.items()})


def mac(first: int = 49152, held: int = 4) -> Mac:
    said = recorded("sysctl.network").replace(": 49152", f": {first}").replace(": 4\n", f": {held}\n")
    return Mac(said={"network": said})


def test_what_linux_tells() -> None:
    assert network_limits(linux()) == NetworkLimits("linux", 28_232, 26, reuses_held=True, listen_queue=4096)
    assert network_limits(linux(tcp_tw_reuse="0\n")).reuses_held is False


def test_what_a_mac_tells() -> None:
    found = network_limits(mac())

    assert found == NetworkLimits("darwin", 16_384, 4, reuses_held=False, listen_queue=128)
    assert (found.is_shared, found.easy_load) == (True, 512)


def test_reserved_ports_are_not_taken() -> None:
    reserved = linux(ip_local_reserved_ports="8080,40000-40009,50000,60990-61010\n")
    assert network_limits(reserved).source_ports == 28_232 - 10 - 1 - 10


@pytest.mark.parametrize("probe", [Machine("linux"), Mac(), linux(ip_local_port_range="damaged")])
def test_what_is_not_told_is_not_known_and_refuses_nothing(probe: Probe) -> None:
    assert network_limits(probe).source_ports is None
    require_ports({"a:1": 10**6}, "concurrency 1000000", is_local=False, probe=probe)


@pytest.mark.parametrize("probe", [linux(), mac()])
def test_ten_thousand_fit(probe: Probe) -> None:
    require_ports(HERE, "concurrency 10000", is_local=True, probe=probe)


def refused(probe: Probe, connections: dict[str, int], *, is_local: bool = True) -> str:
    with pytest.raises(InputError) as raised:
        require_ports(connections, "the load", is_local=is_local, probe=probe)
    return str(raised.value)


def test_too_small_a_range_is_said_with_the_command_that_widens_it() -> None:
    assert refused(linux(), {"a:1": 30_000}) == (
        "the load needs 30000 source ports, and this machine has 28232: widen the range with "
        "`sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'`, or lower the load"
    )
    assert refused(mac(), {"a:1": 17_000}) == (
        "the load needs 17000 source ports, and this machine has 16384: widen the range with "
        "`sudo sysctl -w net.inet.ip.portrange.first=1024`, or lower the load"
    )
    assert refused(mac(), {"a:1": 100_000}).endswith("lower the load, no machine has over 64512")


def test_servers_share_ports_on_linux_and_not_on_a_mac() -> None:
    both = {"a:1": 10_000, "b:1": 10_000}
    require_ports(both, "the load", is_local=True, probe=linux())

    assert refused(mac(), both).startswith("the load needs 20000 source ports, and this machine has 16384")
    assert "needs 30000 source ports for each server" in refused(linux(), {"a:1": 30_000, "b:1": 10})


def test_ports_that_are_still_held_count_unless_they_can_be_taken_again() -> None:
    held = linux(sockstat="TCP: inuse 34 orphan 0 tw 20000 alloc 34 mem 243\n")
    require_ports(HERE, "the load", is_local=True, probe=held)

    assert refused(held, HERE, is_local=False) == (
        "the load needs 10000 source ports, and 20000 of this machine's 28232 are held by connections that have just "
        "ended: wait 60 s, or lower the load"
    )
    assert re.search("12000 of this machine's 16384 are held .* wait 30 s", refused(mac(held=12_000), HERE))


def test_this_machine_tells_its_own() -> None:
    found = network_limits()

    assert found.source_ports is not None
    assert found.source_ports > 1000
    assert (found.listen_queue or 0) > 0
