"""What the machine went through while a run was measured: heat, power and memory, from its state beside each block."""

from collections.abc import Sequence
from statistics import median_high
from typing import Any

from lmx_loadgen.analysis.stats import known
from lmx_loadgen.store.eventlog import LogContents

_SLOWED = 0.95
_FREE = 0.10
_STALLED = 0.05
_SWAPPED_PAGES = 256


def conditions(log: LogContents) -> list[str]:
    """A sentence for each thing that makes figures of this run doubtful; none where nothing was seen."""
    states = [line["state"] for line in log.host]
    low_power = "low power mode was on" if any(state.get("low_power") for state in states) else None
    found = [_throttled(states), low_power, _clock(states), _memory(states), _swapped(states)]
    return known(found)


def run_notes(log: LogContents) -> list[str]:
    """A sentence for each time the run was taken up again, and for whoever measured on this machine as well."""
    found = [_resumed(log, line) for line in log.resumes]
    found += [_again(log, line) for line in log.again]
    ends = [line for line in [*log.superseded, log.end] if line is not None and line["type"] == "end"]
    others = [line.get("beside") for line in [log.header, *log.resumes]]
    others += [one for line in ends for one in line.get("joined") or []]
    for other in others:
        if other is not None:
            found.append(
                f"another lmx-loadgen (pid {other['pid']}, started {other['started_at']}) measured on this machine at "
                "the same time: both are slower for it"
            )
    return list(dict.fromkeys(found))


def _again(log: LogContents, line: dict[str, Any]) -> str:
    concurrency = next((one["concurrency"] for one in log.header["plan"] if one["level"] == line["level"]), "?")
    return (
        f"round {line['block'] + 1} at concurrency {concurrency} was measured again: this machine delayed too many of "
        "its requests"
    )


def _resumed(log: LogContents, line: dict[str, Any]) -> str:
    mine = [one for one in log.superseded if one["superseded_by"] == line["attempt"]]
    void = sum(one["type"] == "request" for one in mine)
    logged = f" ({void} of its requests had been logged, and do not count)" if void else ""
    again = f", from the start of the block that was cut off{logged}" if line["redo"] else ""
    torn = "; a torn last line was cut off" if line["cut_bytes"] else ""
    return f"the run was taken up again at {line['resumed_at']}{again}{torn}"


def _throttled(states: Sequence[dict[str, Any]]) -> str | None:
    limits = _known(states, "cpu_speed_limit")
    slowed = [limit for limit in limits if limit < 1]
    if not slowed:
        return None
    return (
        f"the machine was too hot: its processor was held to {min(slowed):.0%} of its speed "
        f"({len(slowed)} of {len(limits)} looks)"
    )


def _clock(states: Sequence[dict[str, Any]]) -> str | None:
    """Clocks wander; only a later half that is slower as a whole is a sign of heat."""
    speeds = _known(states, "cpu_mhz")
    if len(speeds) < 4:
        return None
    half = len(speeds) // 2
    before, after = median_high(speeds[:half]), median_high(speeds[half:])
    if after >= _SLOWED * before:
        return None
    return f"the processor's clock fell from {before:.0f} to {after:.0f} MHz over the run"


def _memory(states: Sequence[dict[str, Any]]) -> str | None:
    free, stalled = _known(states, "memory_free"), _known(states, "memory_stalled")
    if free and min(free) < _FREE:
        return f"memory was short: {min(free):.0%} of it was free at the least"
    if stalled and max(stalled) > _STALLED:
        return f"memory was short: programs waited for it {max(stalled):.0%} of the time at the worst"
    return None


def _swapped(states: Sequence[dict[str, Any]]) -> str | None:
    pages = _known(states, "swapped_out")
    if len(pages) < 2 or pages[-1] - pages[0] < _SWAPPED_PAGES:
        return None
    return f"{pages[-1] - pages[0]:.0f} pages were swapped out during the run: memory was short"


def _known(states: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [float(state[name]) for state in states if isinstance(state.get(name), int | float)]
