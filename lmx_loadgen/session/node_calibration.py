"""The calibrations of a cluster: each node's own, and what they say of all nodes together."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lmx_loadgen.cluster.connection import Node, node_errors
from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.session.calibrated import calibration_for_run
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.session.workers import Workers
from lmx_loadgen.store.calibration import CalibratedLevel, CalibratedSends, Calibration, SpreadResult

_ERRORS = ("send", "receive", "ttft", "chunk", "gap", "stall", "tpot")
_LOOK_S = 0.1


def calibration_here(loop: str, stamps: str) -> Mapping[str, Any] | None:
    """Runs on a node: the calibration that is stored there, or a quick one with a simulator of its own."""
    return calibration_for_run(Options(loop=loop, stamps=stamps), StopFlag(), Silent())(loop, stamps)


def calibrations_of(workers: Workers, stop: StopFlag, say: Callable[[str], None]) -> list[Mapping[str, Any] | None]:
    """Each node's, in their order: of all machines at once, and of one machine with several nodes only once. Raises
    LoadgenError for a node that could not be calibrated, and Interrupted."""
    machines: dict[str, Node] = {}
    for node in workers.nodes:
        machines.setdefault(node.facts.machine_id, node)
    say("Asking each node for its calibration (about 20 s where it has none; --no-calibrate skips it).")

    def ask(node: Node) -> Mapping[str, Any] | None:
        asked = node.actor.call.remote(calibration_here, workers.loop, workers.stamps.value)
        while not node.ray.wait([asked], timeout=_LOOK_S)[0]:
            stop.check()

        def failed(why: str) -> LoadgenError:
            return LoadgenError(f"{node.label} could not be calibrated: {why}; --no-calibrate runs without")

        with node_errors(failed):
            found: Mapping[str, Any] | None = node.ray.get(asked)
            return found

    with ThreadPoolExecutor(len(machines)) as pool:
        found = dict(zip(machines, pool.map(ask, machines.values()), strict=True))
    return [found[node.facts.machine_id] for node in workers.nodes]


def of_cluster(nodes: Sequence[Node], stored: Sequence[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """What the nodes' calibrations say of all of them together; None where one has none.

    Nodes share a load evenly. A machine with several of them was calibrated as one, and bears what they bear together.
    """
    calibrations = [Calibration.model_validate(one) for one in stored if one is not None]
    if len(calibrations) < len(nodes):
        return None
    most_on_one = max(Counter(node.facts.machine_id for node in nodes).values())
    return worst_of(calibrations, len(nodes) / most_on_one).model_dump(mode="json")


def worst_of(calibrations: Sequence[Calibration], times: float) -> Calibration:
    """One calibration for a load of which each has had one part in `times`: at each of its levels the worst error of
    any, as far as all were calibrated."""
    first = calibrations[0]
    known = set.intersection(*({level.concurrency for level in one.levels} for one in calibrations))
    levels = [
        [level for one in calibrations for level in one.levels if level.concurrency == concurrency]
        for concurrency in sorted(known)
    ]
    busy = next((one for one in calibrations if one.busy), first)
    return first.model_copy(
        update={
            "workers": len(calibrations),
            "levels": [_worst_level(one, times) for one in levels],
            "busy": busy.busy,
            "busy_reason": busy.busy_reason,
            "quick": any(one.quick for one in calibrations),
            "created_at": min(one.created_at for one in calibrations),
            "burst_chunks_per_s": times * min(one.burst_chunks_per_s for one in calibrations),
            "sustained_chunks_per_s": _slowest([one.sustained_chunks_per_s for one in calibrations], times),
            "sends": _worst_sends([one.sends for one in calibrations], times),
        }
    )


def _slowest(rates: Sequence[float | None], times: float) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return times * min(known) if len(known) == len(rates) else None


def _worst_level(levels: Sequence[CalibratedLevel], times: float) -> CalibratedLevel:
    return levels[0].model_copy(
        update={
            **{name: _worst_spread([getattr(level, name) for level in levels]) for name in _ERRORS},
            "concurrency": int(times * levels[0].concurrency),
            "chunk_rate": times * min(level.chunk_rate for level in levels),
            "requests": sum(level.requests for level in levels),
            "failed": sum(level.failed for level in levels),
            "chunks": sum(level.chunks for level in levels),
            "cpu_s_per_1000_chunks": max(level.cpu_s_per_1000_chunks for level in levels),
            "peak_rss_mb": max(level.peak_rss_mb for level in levels),
        }
    )


def _worst_sends(sends: Sequence[CalibratedSends | None], times: float) -> CalibratedSends | None:
    known = [one for one in sends if one is not None]
    if len(known) < len(sends):
        return None
    return CalibratedSends(
        rate=times * min(one.rate for one in known),
        requests=sum(one.requests for one in known),
        late=_worst_spread([one.late for one in known]),
    )


def _worst_spread(spreads: Sequence[SpreadResult]) -> SpreadResult:
    return SpreadResult(**{name: max(getattr(one, name) for one in spreads) for name in ("p50", "p99", "max")})
