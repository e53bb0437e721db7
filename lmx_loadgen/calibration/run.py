"""Measures the tool's own error: loads the simulator, and sets what was seen against what it truly did."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmx_loadgen import __version__
from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.calibration.pairing import Errors, errors_of, spread
from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.profile.models import Load, Profile, Prompts, Request, TargetSpec, Timeouts
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from lmx_loadgen.store.calibration import CalibratedLevel, CalibratedSends, Calibration, SpreadResult
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.system import host, identity, open_files
from lmx_loadgen.system.clock import NS

# Runs a profile as any run is measured, and gives its event log. A session does it: `session.calibrated.measure`.
Measure = Callable[[Profile], LogContents]

TTFT_MS, STEP_MS = 200.0, 20.0
_SUSTAINED_S = 0.005


@dataclass(frozen=True)
class Stretch:
    """How much a level gets: answers of `tokens`, `requests` of them, the slots' starts spread over `stagger` s.
    `ttft_ms` is the simulator's TTFT at this level, None for its own."""

    concurrency: int
    requests: int
    tokens: int
    stagger: float
    ttft_ms: float | None = None


_SEND_RATE, _SEND_S, _QUICK_SEND_S = 500.0, 10.0, 2.0
_BURST = Stretch(concurrency=4, requests=40, tokens=20_000, stagger=0.0)


# A 99th percentile takes a hundred requests. One after the other, with a TTFT of 200 ms and long answers, they would
# take minutes, so at concurrency 1 both are short. That level is about waking up for a single event: a core is as
# deeply asleep after 20 ms as after 200, and the error of a TPOT is scaled to an answer's length where it is used.


def full() -> list[Stretch]:
    """The published table: at least a hundred requests and three waves a level, of 64 tokens an answer at all but the
    first."""
    return [
        Stretch(1, 100, 16, 0.0, ttft_ms=50.0),
        Stretch(16, 112, 64, 1.0),
        Stretch(64, 256, 64, 1.0),
        Stretch(256, 768, 64, 1.0),
        Stretch(1000, 3000, 64, 1.0),
    ]


def quick() -> list[Stretch]:
    """The same levels in about 20 s, with shorter answers."""
    return [
        Stretch(1, 100, 4, 0.0, ttft_ms=20.0),
        Stretch(16, 112, 16, 0.4),
        Stretch(64, 192, 16, 0.4),
        Stretch(256, 512, 16, 0.4),
        Stretch(1000, 1500, 16, 0.5),
    ]


def calibrate(
    measure: Measure, *, is_quick: bool, report: Callable[[str], None], most: int | None = None
) -> Calibration:
    """Run the whole table on this machine, or its levels up to a concurrency of `most`. `report` hears of each level as
    it begins. The calibration lists what keeps the machine busy before or after.

    Raises LoadgenError when the simulator fails, a request fails, or the clocks of two processes disagree; InputError
    when this process may not open as many files as the highest level needs.
    """
    table = [load for load in (quick() if is_quick else full()) if most is None or load.concurrency <= most]
    highest = max(load.concurrency for load in [*table, _BURST])
    open_files.require(highest, f"calibration at concurrency {highest}")
    busy = host.busy()
    levels: list[CalibratedLevel] = []
    used: dict[str, Any] = {}
    with simulator(replace(STEADY, ttft_ms=TTFT_MS)) as (sim, truth_path):
        for load in table:
            report(f"concurrency {load.concurrency}")
            log, errors = measured(load, sim, truth_path, measure)
            used = log.header["instrument"]
            levels.append(_level(load, log, errors))
    report("as fast as it can")
    with simulator(replace(STEADY, ttft_ms=1.0, burst=True)) as (sim, truth_path):
        burst = _burst(*measured(_BURST, sim, truth_path, measure))
    report(f"open loop at {_SEND_RATE:g} requests/s")
    with simulator(replace(STEADY, ttft_ms=1.0, step_ms=1.0)) as (sim, _):
        sends = _sends(measure(_open_profile(sim.base_url, _QUICK_SEND_S if is_quick else _SEND_S)))
    busy = busy or host.busy()
    return Calibration(
        tool_version=__version__,
        host=identity.machine_id(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        quick=is_quick,
        busy=busy is not None,
        busy_reason=busy,
        loop=used["loop"],
        stamps=used["stamps"],
        workers=used["workers"],
        machine=host.facts(),
        versions=host.versions(),
        levels=levels,
        burst_chunks_per_s=burst,
        sustained_chunks_per_s=max(
            (level.chunk_rate for level in levels if level.chunk.p99 <= _SUSTAINED_S), default=None
        ),
        sends=sends,
    )


STEADY = SimSettings(step_ms=STEP_MS, prefill_tok_s=None, engine="independent")


@contextlib.contextmanager
def simulator(settings: SimSettings) -> Iterator[tuple[SimProcess, Path]]:
    """A simulator, and where it logs the truth."""
    with tempfile.TemporaryDirectory(prefix="lmx-loadgen-") as scratch:
        truth_path = Path(scratch) / "truth.jsonl"
        with start(replace(settings, log=str(truth_path))) as sim:
            yield sim, truth_path


def measured(load: Stretch, sim: SimProcess, truth_path: Path, measure: Measure) -> tuple[LogContents, Errors]:
    """One level: its event log and the paired errors. Raises LoadgenError when a request failed, and what
    `measure` raises."""
    log = measure(_profile(load, sim.base_url))
    _check_whole(load, log)
    sim.flush()
    return log, errors_of(log.requests, read_truth(truth_path))


def _profile(load: Stretch, url: str) -> Profile:
    orders = {} if load.ttft_ms is None else {"sim": {"ttft_ms": load.ttft_ms}}
    return Profile(
        name="calibration",
        targets=[TargetSpec(name="sim", url=url)],
        load=Load(concurrency=[load.concurrency], requests=load.requests, warmup=0, stagger=load.stagger),
        prompts=Prompts(text="How wrong are you?"),
        request=Request(max_tokens=load.tokens, extra=orders),
        timeouts=Timeouts(first_token=30, gap=30, request=120),
    )


def _open_profile(url: str, seconds: float) -> Profile:
    return Profile(
        name="calibration",
        targets=[TargetSpec(name="sim", url=url)],
        load=Load(rate=[_SEND_RATE], duration=seconds, warmup=1),
        prompts=Prompts(text="How late are you?"),
        request=Request(max_tokens=2),
        timeouts=Timeouts(first_token=30, gap=30, request=120),
    )


def _sends(log: LogContents) -> CalibratedSends:
    """How late requests were sent; what became of them says nothing of it. Raises LoadgenError where none was."""
    sent = [found for line in log.requests if line["phase"] == "measured" and (found := record(line)).send_ns]
    late = [one.own_late_ns for one in sent if one.own_late_ns is not None]
    if not late:
        raise LoadgenError("calibration of an open loop: no request was sent; nothing was stored")
    return CalibratedSends(rate=_SEND_RATE, requests=len(late), late=_spread(late))


def _check_whole(load: Stretch, log: LogContents) -> None:
    """Raises LoadgenError unless every request of a level was answered: errors of the rest alone say nothing of it."""
    failed = [line for line in log.requests if line["outcome"] != "ok"]
    missing = load.requests - len(log.requests) + len(failed)
    if missing > 0:
        why = f" ({failed[0]['outcome']}: {failed[0]['reason']})" if failed else ""
        raise LoadgenError(
            f"calibration at concurrency {load.concurrency}: {missing} of {load.requests} requests failed{why}; "
            "nothing was stored"
        )


def _level(load: Stretch, log: LogContents, errors: Errors) -> CalibratedLevel:
    if errors.unpaired or not errors.ttft:
        raise LoadgenError(
            f"calibration at concurrency {load.concurrency}: {errors.unpaired} answers do not match the simulator's log"
        )
    segment = log.segments[0]
    chunks = len(errors.chunk)
    seconds = (segment["end_ns"] - segment["start_ns"]) / NS
    return CalibratedLevel(
        concurrency=load.concurrency,
        requests=len(errors.ttft),
        failed=len(log.requests) - len(errors.ttft),
        tokens=load.tokens,
        chunks=chunks,
        send=_spread(errors.send),
        receive=_spread(errors.receive),
        ttft=_spread(errors.ttft),
        chunk=_spread(errors.chunk),
        gap=_spread(errors.gap),
        stall=_spread(errors.stall),
        tpot=_spread(errors.tpot),
        chunk_rate=chunks / seconds,
        cpu_s_per_1000_chunks=segment["client"]["cpu_s"] / chunks * 1000,
        peak_rss_mb=segment["client"]["peak_rss_bytes"] / 2**20,
    )


def _spread(errors: list[int] | list[float]) -> SpreadResult:
    found = spread(errors)
    assert found is not None
    return found


def _burst(log: LogContents, errors: Errors) -> float:
    """Chunks a second that were taken in when the server never waits. Raises LoadgenError when one was lost."""
    sent = _BURST.requests * _BURST.tokens
    if len(errors.chunk) != sent:
        raise LoadgenError(f"of {sent} chunks sent in a burst {len(errors.chunk)} were seen")
    segment = log.segments[0]
    return len(errors.chunk) * NS / int(segment["end_ns"] - segment["start_ns"])
