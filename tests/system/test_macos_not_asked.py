"""Commands of a Mac that could tell its state and are left alone, and what is read instead."""

import re

import pytest

from lmx_loadgen.system import macos_state
from tests.system.machine import Mac, recorded


def whole(name: str) -> dict[str, int]:
    """`Pages free: 39656` and the like, in pages."""
    return {key: int(count) for key, count in re.findall(r"^([\w /]+): +(\d+) ?$", recorded(name), re.MULTILINE)}


def test_vm_stat_says_all_that_memory_pressure_does() -> None:
    pages = whole("memory_pressure.full")
    found = macos_state.memory_bytes(recorded("vm_stat.macos15"))

    assert found["memory_bytes"]["wired"] == 16384 * pages["Pages wired down"]
    assert found["memory_bytes"]["compressed"] == 16384 * pages["Pages used by compressor"]
    assert (found["swapped_in_bytes"], found["swapped_out_bytes"]) == (
        16384 * pages["Swapins"],
        16384 * pages["Swapouts"],
    )


@pytest.mark.parametrize("chip", ["apple-silicon", "rosetta-or-intel"])
def test_a_share_of_memory_in_whole_percents_is_too_coarse_to_wait_for(chip: str) -> None:
    """A percent of 24 GB is more than the weights of a small model, and a whole percent is all that is said."""
    said = recorded(f"memory_pressure-Q.{chip}")
    pages, size = map(int, re.findall(r"\((\d+) pages with a page size of (\d+)\)", said)[0])

    assert re.search(r"free percentage: \d+%", said)
    assert pages * size / 100 > 100 * 2**20


@pytest.mark.parametrize("name", ["memory_pressure", "powermetrics", "vm.swapusage"])
def test_what_is_rounded_needs_root_or_depends_on_the_language_is_not_asked(name: str) -> None:
    """`powermetrics` runs as root only, and macmon tells the same; the amounts of `vm.swapusage` have decimal commas in
    some languages, and psutil counts them."""
    mac = Mac()
    macos_state.state(mac)

    assert mac.asked
    assert not any(name in " ".join(command) for command in mac.asked)
    if name == "vm.swapusage":
        assert "2694,19M" in recorded("sysctl-n.swapusage-comma")
    if name == "powermetrics":
        assert "GPU Power: 28 mW" in recorded("powermetrics-gpu")
