"""What a Mac's power settings and launchd say of idle sleep and open files."""

import re

from lmx_loadgen.system.macos_state import PMSET
from lmx_loadgen.system.probe import Probe

COMMANDS = {
    "custom": (PMSET, "-g", "custom"),
    "maxfiles": ("/bin/launchctl", "limit", "maxfiles"),
}


def idle_minutes(probe: Probe, power_source: str | None) -> int | None:
    """After how many idle minutes a Mac sleeps on the power it has now, 0 for never; None where it does not tell."""
    if probe.system != "darwin":
        return None
    said = probe.run(COMMANDS["custom"]) or ""
    section = said.partition(f"{power_source or 'AC Power'}:\n")[2]
    found = re.search(r"^ sleep +(\d+)\b", re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    return int(found[1]) if found else None


def launchd_hard_limit(probe: Probe) -> str | None:
    """The most open files that launchd lets a process have: a number, or `unlimited`."""
    found = re.search(r"maxfiles\s+\S+\s+(\d+|unlimited)", probe.run(COMMANDS["maxfiles"]) or "")
    return found[1] if found else None
