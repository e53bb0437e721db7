"""What a profile's SLO says of requests: which met it, and what share of them did, with an exact interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis.formats import duration
from lmx_loadgen.analysis.metrics import METRICS, e2e, headline, tpot, ttft, ttft_response
from lmx_loadgen.analysis.record_store import grouped
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.shares import design_effect, exact_share
from lmx_loadgen.analysis.stats import Description
from lmx_loadgen.analysis.tokens import Basis

NOT_SET = "the profile sets no SLO"
_LIMITED = {"ttft": ttft, "tpot": tpot, "e2e": e2e}
_LIMITED_IN_OPEN_LOOP = _LIMITED | {"ttft": ttft_response}
_ENOUGH_BLOCKS = 3


def is_set(profile: Mapping[str, Any]) -> bool:
    """Whether the profile limits anything."""
    return bool(limits(profile))


def limits(profile: Mapping[str, Any]) -> dict[str, float]:
    """The limits that are set, in seconds, by metric."""
    return {name: limit for name in _LIMITED if (limit := profile["slo"][name]) is not None}


def words(profile: Mapping[str, Any]) -> str:
    """`TTFT within 500 ms, E2E within 20 s`."""
    return ", ".join(f"{METRICS[name].title} within {duration(limit)}" for name, limit in limits(profile).items())


def is_met(record: Record, basis: Basis, profile: Mapping[str, Any]) -> bool:
    """Whether the request went well and kept every limit of the profile's `slo` (an undefined TPOT has no limit). In an
    open loop the TTFT counts from when the request was due."""
    if not record.ok:
        return False
    limited = _LIMITED_IN_OPEN_LOOP if record.load_point.IS_OPEN else _LIMITED
    values = {name: limited[name](record, basis, profile) for name in limits(profile)}
    return all(value is None or value <= profile["slo"][name] for name, value in values.items())


def missed(record: Record, basis: Basis, profile: Mapping[str, Any]) -> list[str]:
    """What keeps a request from the SLO, by name: the titles of the limits it is over, or `errors`."""
    if not record.ok:
        return ["errors"]
    limited = _LIMITED_IN_OPEN_LOOP if record.load_point.IS_OPEN else _LIMITED
    values = {name: limited[name](record, basis, profile) for name in limits(profile)}
    return [METRICS[name].title for name, value in values.items() if value is not None and value > profile["slo"][name]]


def counted(requests: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> tuple[int, int] | None:
    """How many of these requests met the SLO, and how many are counted; None where none is set, or none is left.

    Failed requests met none. Those that this machine delayed are not counted.
    """
    if not is_set(profile):
        return None
    met = of = 0
    for one in requests:
        if not _is_left_out(one, profile):
            met, of = met + is_met(one, basis, profile), of + 1
    return (met, of) if of else None


def share(requests: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> Description:
    """The share of these requests within the SLO as `mean`, with its exact interval for this run."""
    if not is_set(profile):
        return Description(n=0, reason=NOT_SET)
    blocks = grouped(requests, lambda one: one.block)
    counts = [found for mine in blocks.values() if (found := counted(mine, basis, profile)) is not None]
    if not counts:
        return Description(n=0, reason="no request was measured, or this machine delayed all of them")
    met, of = sum(count for count, _ in counts), sum(of for _, of in counts)
    return Description(n=of, mean=met / of, ci95=own_interval(counts), reason="single value per level")


def own_interval(counts: Sequence[tuple[int, int]], alpha: float = 0.05) -> tuple[float, float]:
    """The exact interval of the share over blocks, given (met, of) of each: wider than that of independent requests
    where those of one block resemble each other, and never narrower."""
    met, of = sum(count for count, _ in counts), sum(of for _, of in counts)
    mean = met / of
    effect = design_effect([(count - mean * size) / of for count, size in counts], mean * (1 - mean) / of)
    return exact_share(met, of, alpha, max(1.0, effect) if len(counts) >= _ENOUGH_BLOCKS else 1.0)


def _is_left_out(record: Record, profile: Mapping[str, Any]) -> bool:
    return record.ok and any(METRICS[headline(name, record.load_point)].is_delayed(record) for name in limits(profile))
