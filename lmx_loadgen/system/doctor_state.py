"""What in a machine's state distorts figures: power, heat, memory, swap."""

from lmx_loadgen.system.diagnosis import Diagnosis, Machine, not_told
from lmx_loadgen.system.probe import Probe

MB = 2**20
_SWAPPING = 16 * MB
_STALLED = 0.05
_HEAT = ("nominal", "moderate", "heavy", "trapping", "sleeping")


def power_mode(machine: Machine, probe: Probe) -> Diagnosis:
    mode = machine.state.get("power_mode")
    if mode == "low" or "low-power" in (probe.read("/sys/firmware/acpi/platform_profile") or ""):
        fix = "System Settings > Energy or Battery > Low Power Mode: Never, or sudo pmset -a lowpowermode 0 powermode 0"
        other = "choose another power profile: powerprofilesctl set performance"
        return Diagnosis(
            "power mode", "distorts", "low power mode slows all cores", fix if probe.system == "darwin" else other
        )
    return _told("power mode", mode)


def power_source(machine: Machine, probe: Probe) -> Diagnosis:
    source = machine.state.get("power_source") or machine.facts.get("power_source") or _linux_source(probe)
    if source == "Battery Power":
        return Diagnosis("power", "distorts", "on battery: clocks follow the charge", "plug in the power supply")
    return Diagnosis("power", "ok", str(source)) if source else not_told("power", "its source")


def heat(machine: Machine, probe: Probe) -> Diagnosis:
    level, speed = machine.state.get("thermal_level"), machine.state.get("cpu_speed_limit")
    fix = "let it cool down, and find what heats it: top -o cpu"
    if level:
        return Diagnosis("heat", "distorts", f"thermal pressure is {_HEAT[level]}: cores are slowed down", fix)
    if speed is not None and speed < 1:
        return Diagnosis("heat", "distorts", f"the processor is limited to {speed:.0%} of its speed", fix)
    return _told("heat", "nominal" if level == 0 else None)


def memory(machine: Machine, probe: Probe) -> Diagnosis:
    level, stalled = machine.state.get("memory_pressure_level"), machine.state.get("memory_stalled")
    fix = "close programs or unload models; where two models do not fit, measure with --isolate"
    if level is not None and level >= 2:
        return Diagnosis("memory", "distorts", f"memory pressure is {'critical' if level >= 4 else 'high'}", fix)
    if stalled is not None and stalled > _STALLED:
        return Diagnosis("memory", "distorts", f"programs wait for memory {stalled:.0%} of the time", fix)
    return _told("memory", "no pressure" if level == 1 or stalled is not None else None)


def swap(machine: Machine, probe: Probe) -> Diagnosis:
    """What is swapped out may lie there for days: only what moves now costs time."""
    moved = [
        machine.state[name] - machine.before[name]
        for name in ("swapped_in_bytes", "swapped_out_bytes")
        if name in machine.state and name in machine.before
    ]
    if not moved:
        return not_told("swap", "what is swapped")
    if sum(moved) > _SWAPPING:
        fix = "close programs or unload models until the machine stops swapping"
        return Diagnosis("swap", "distorts", f"swapping now: {sum(moved) / MB:.0f} MB in a second", fix)
    return Diagnosis("swap", "ok", "nothing is being swapped")


def _linux_source(probe: Probe) -> str | None:
    online = [probe.read(f"/sys/class/power_supply/{name}/online") for name in ("AC", "AC0", "ACAD", "ADP0", "ADP1")]
    known = [said.strip() for said in online if said]
    return ("AC Power" if "1" in known else "Battery Power") if known else None


def _told(check: str, value: str | None) -> Diagnosis:
    """Well where it was told; what the system does not tell is not known, and never taken for well."""
    return Diagnosis(check, "ok", value) if value is not None else not_told(check, "it")
