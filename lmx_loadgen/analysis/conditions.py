"""What the machine went through while a run was measured: heat, power and memory, from its state beside each block."""

from collections.abc import Container, Mapping, Sequence
from statistics import median_high
from typing import Any

from lmx_loadgen.profile.datasets.sample import MOST_PROMPTS
from lmx_loadgen.profile.load_point import load_point
from lmx_loadgen.store.log_reader import LogContents, LogLine
from lmx_loadgen.store.segment_key import SegmentKey, segment_key

_SLOWED = 0.95
_FREE = 0.10
_STALLED = 0.05
# Of logs of earlier versions, which counted pages over the whole run.
_SWAPPED_PAGES = 256
_SWAPPED_BYTES = 64 * 2**20
# Clocks read one after the other differ by less.
SLEPT_S = 0.1
_CRITICAL = 4
_THERMAL = ("nominal", "moderate", "heavy", "trapping", "sleeping")
_TOLD_BY_MACOS = {
    "thermal_level": "thermal pressure",
    "power_mode": "power mode",
    "memory_pressure_level": "memory pressure",
}


def conditions(log: LogContents) -> list[str]:
    """A sentence for each thing that makes figures of this run doubtful; none where nothing was seen."""
    states = [line["state"] for line in log.host]
    found = [
        _in_background(log.header["host"]),
        _throttled(states),
        _hot(states),
        _low_power(states),
        *_changed(states),
        _clock(states),
        _memory(states),
        _pressed(states),
        _swapped(states),
        _paged(log.host),
        _unknown(states),
    ]
    return [sentence for sentence in found if sentence is not None]


def taints(log: LogContents, segments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why no figure of these segments is reliable, a sentence each: the machine slept meanwhile, or what measured was
    translated by Rosetta."""
    found = []
    if log.header["host"].get("translated") is True:
        found.append("Rosetta translated this Python: install one for arm64, its timings are unreliable")
    if asleep_s := slept_s(log, segments):
        found.append(f"the machine slept for {asleep_s:.0f} s while this level was measured")
    return found


def slept_s(log: LogContents, segments: Sequence[Mapping[str, Any]]) -> float:
    """How long the machine slept while these segments ran, in seconds."""
    keys = set(map(segment_key, segments))
    return sum(gap for gap in _growths(log.host, "asleep_s", keys) if gap > SLEPT_S)


def run_notes(log: LogContents) -> list[str]:
    """A sentence for prompts that were drawn, for each time the run was taken up again, and for whoever else measured
    on this machine."""
    found = [_drawn(log.header)] if "prompts_in_file" in log.header else []
    found += [_resumed(log, line) for line in log.resumes]
    found += [_again(line) for line in log.again]
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


def _drawn(header: LogLine) -> str:
    prompts = header["profile"]["prompts"]
    kept, seed = prompts.get("sample") or MOST_PROMPTS, header["profile"]["request"].get("seed") or 0
    what = "prompts" if prompts.get("chats") is None else "chats"
    return f"{kept:,} of the {header['prompts_in_file']:,} {what} of the file were drawn, by seed {seed}"


def _again(line: LogLine) -> str:
    where = f"round {line['block'] + 1} at {load_point(line['load_point']).label}"
    return f"{where} was measured again: this machine slept or delayed too many of its requests"


def _resumed(log: LogContents, line: dict[str, Any]) -> str:
    void = log.requests_superseded_by(line["attempt"])
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


def _low_power(states: Sequence[dict[str, Any]]) -> str | None:
    """Logs of earlier versions have `low_power`, later ones `power_mode`."""
    on = any(state.get("low_power") or state.get("power_mode") == "low" for state in states)
    return "low power mode was on" if on else None


def _hot(states: Sequence[dict[str, Any]]) -> str | None:
    levels = _known(states, "thermal_level")
    hot = [level for level in levels if level >= 1]
    if not hot:
        return None
    worst = _THERMAL[min(int(max(hot)), len(_THERMAL) - 1)]
    return f"the machine was hot: thermal pressure was up to {worst} ({len(hot)} of {len(levels)} looks)"


def _changed(states: Sequence[dict[str, Any]]) -> list[str | None]:
    """What has to be the same for all blocks of a run."""
    found: list[str | None] = []
    for key, what in (("power_mode", "power mode"), ("power_source", "power source")):
        seen = list(dict.fromkeys(str(state[key]) for state in states if isinstance(state.get(key), str)))
        if len(seen) > 1:
            found.append(f"the {what} changed during the run: {', '.join(seen)}")
    return found


def _in_background(host: Mapping[str, Any]) -> str | None:
    if host.get("background") is not True:
        return None
    late_s = host.get("timer_late_s")
    late = f" (a timer was {late_s * 1e3:.0f} ms late)" if isinstance(late_s, int | float) else ""
    return f"the run had background priority{late}: the system delays it; start it from a terminal, without taskpolicy"


def _unknown(states: Sequence[dict[str, Any]]) -> str | None:
    """What the system did not tell at any look."""
    lists = [state["unknown"] if isinstance(state.get("unknown"), list) else [] for state in states]
    words = [words for key, words in _TOLD_BY_MACOS.items() if lists and all(key in one for one in lists)]
    return f"not known for this run: {', '.join(words)} (macOS did not report it)" if words else None


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


def _pressed(states: Sequence[dict[str, Any]]) -> str | None:
    """macOS's own level of memory pressure; a large model in the GPU's memory alone does not raise it."""
    levels = _known(states, "memory_pressure_level")
    high = [level for level in levels if level > 1]
    if not high:
        return None
    worst = "critical" if max(high) >= _CRITICAL else "warning"
    return f"memory was short: memory pressure was at {worst} ({len(high)} of {len(levels)} looks)"


def _paged(lines: Sequence[dict[str, Any]]) -> str | None:
    """Only while blocks were measured: what is swapped out as a model is loaded before one costs nothing in it."""
    moved = sum(sum(_growths(lines, name)) for name in ("swapped_in_bytes", "swapped_out_bytes"))
    if moved < _SWAPPED_BYTES:
        return None
    return f"memory was short: {moved / 1e6:.0f} MB were swapped in or out while blocks were measured"


def _growths(lines: Sequence[dict[str, Any]], name: str, segments: Container[SegmentKey] | None = None) -> list[float]:
    """By how much a counter grew in each segment, from the look before it to the one after it."""
    before: dict[SegmentKey, float] = {}
    found = []
    for line in lines:
        key, value = segment_key(line), line["state"].get(name)
        if (segments is not None and key not in segments) or not isinstance(value, int | float):
            continue
        if line["when"] == "before":
            before[key] = value
        elif line["when"] == "after" and key in before:
            found.append(value - before.pop(key))
    return found


def _known(states: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [float(state[name]) for state in states if isinstance(state.get(name), int | float)]
