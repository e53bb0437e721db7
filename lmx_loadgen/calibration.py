"""Measures the tool's own error: loads the simulator, and sets what was seen against what it truly did."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lmx_loadgen import __version__, host
from lmx_loadgen.clock import NS
from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.measure.calibrate import Errors, errors_of, spread
from lmx_loadgen.profile import Load, Profile, Prompts, Request, TargetSpec, Timeouts
from lmx_loadgen.recorder import Silent
from lmx_loadgen.session import Options, run_profile
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from lmx_loadgen.store.calibration import CalibratedLevel, Calibration, SpreadResult
from lmx_loadgen.store.eventlog import LogContents, read_log

TTFT_MS, STEP_MS = 200.0, 20.0
_SUSTAINED_S = 0.005
_BURST_TOKENS, _BURST_SLOTS, _BURST_REQUESTS = 20_000, 4, 40


@dataclass(frozen=True)
class Stretch:
    """How much a level gets: answers of `tokens`, `requests` of them, the slots' starts spread over `stagger` s."""

    concurrency: int
    requests: int
    tokens: int
    stagger: float


def full() -> list[Stretch]:
    """The published table: 64 tokens an answer, at least three waves a level."""
    return [
        Stretch(1, 8, 64, 0.0),
        Stretch(16, 80, 64, 1.0),
        Stretch(64, 256, 64, 1.0),
        Stretch(256, 768, 64, 1.0),
        Stretch(1000, 3000, 64, 1.0),
    ]


def quick() -> list[Stretch]:
    """The same levels in under 20 s, with shorter answers."""
    return [
        Stretch(1, 4, 24, 0.0),
        Stretch(16, 48, 24, 0.5),
        Stretch(64, 192, 24, 0.5),
        Stretch(256, 512, 24, 0.5),
        Stretch(1000, 1500, 24, 0.6),
    ]


def calibrate(options: Options, *, is_quick: bool, told: Callable[[str], None]) -> Calibration:
    """Run the whole table on this machine. `told` hears of each level as it begins.

    Raises LoadgenError when the simulator fails, loses a request, or the clocks of two processes disagree.
    """
    levels: list[CalibratedLevel] = []
    instrument: dict[str, str] = {}
    for load in quick() if is_quick else full():
        told(f"concurrency {load.concurrency}")
        log, errors = _measured(load, replace(_STEADY, ttft_ms=TTFT_MS), options)
        instrument = log.header["instrument"]
        levels.append(_level(load, log, errors))
    told("as fast as it can")
    burst = _burst(options)
    return Calibration(
        tool_version=__version__,
        host=host.host_name(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        quick=is_quick,
        loop=instrument["loop"],
        stamps=instrument["stamps"],
        machine=host.facts(),
        versions=host.versions(),
        levels=levels,
        burst_chunks_per_s=burst,
        sustained_chunks_per_s=max(
            (level.chunk_rate for level in levels if level.chunk.p99 <= _SUSTAINED_S), default=None
        ),
    )


_STEADY = SimSettings(step_ms=STEP_MS, prefill_tok_s=None, engine="independent")


def _measured(load: Stretch, settings: SimSettings, options: Options) -> tuple[LogContents, Errors]:
    """One level against a simulator of its own: the event log and the paired errors."""
    with tempfile.TemporaryDirectory(prefix="lmx-loadgen-") as scratch:
        truth_path = Path(scratch) / "truth.jsonl"
        with start(replace(settings, log=str(truth_path))) as sim:
            outcome = run_profile(_profile(load, sim.base_url), _scratch(options, scratch), Silent())
            sim.flush()
            if outcome.exit_code:
                raise LoadgenError(f"calibration was stopped or failed at concurrency {load.concurrency}")
        log = read_log(outcome.folder / "events.jsonl")
        return log, errors_of(log.requests, read_truth(truth_path))


def _profile(load: Stretch, url: str) -> Profile:
    return Profile(
        name="calibration",
        targets=[TargetSpec(name="sim", url=url)],
        load=Load(concurrency=[load.concurrency], requests=load.requests, warmup=0, stagger=load.stagger),
        prompts=Prompts(text="How wrong are you?"),
        request=Request(max_tokens=load.tokens),
        timeouts=Timeouts(first_token=30, gap=30, request=120),
    )


def _scratch(options: Options, folder: str) -> Options:
    return Options(out=Path(folder), loop=options.loop, stamps=options.stamps, workers=options.workers)


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
        chunks=chunks,
        send=_spread(errors.send),
        receive=_spread(errors.receive),
        ttft=_spread(errors.ttft),
        chunk=_spread(errors.chunk),
        tpot=_spread(errors.tpot) if errors.tpot else None,
        chunk_rate=chunks / seconds,
        cpu_s_per_1000_chunks=segment["client"]["cpu_s"] / chunks * 1000,
        peak_rss_mb=segment["client"]["peak_rss_bytes"] / 2**20,
    )


def _spread(errors: list[int] | list[float]) -> SpreadResult:
    found = spread(errors)
    assert found is not None
    return SpreadResult(p50=found.p50, p99=found.p99, max=found.max)


def _burst(options: Options) -> float:
    """Chunks a second that one process takes in, from first to last arrival, when the server never waits."""
    load = Stretch(_BURST_SLOTS, _BURST_REQUESTS, _BURST_TOKENS, 0.0)
    settings = replace(_STEADY, ttft_ms=1.0, burst=True)
    log, errors = _measured(load, settings, options)
    if len(errors.chunk) != _BURST_REQUESTS * _BURST_TOKENS:
        raise LoadgenError(f"of {_BURST_REQUESTS * _BURST_TOKENS} chunks sent in a burst {len(errors.chunk)} were seen")
    segment = log.segments[0]
    return len(errors.chunk) * NS / int(segment["end_ns"] - segment["start_ns"])
