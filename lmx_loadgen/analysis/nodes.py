"""The machines of a cluster that measured a run: what they are, how well their clocks are known, what was lost."""

from collections.abc import Iterable, Mapping
from typing import Any

from lmx_loadgen.store.result import NodeResult
from lmx_loadgen.system.clock import NS


def nodes_of(header: Mapping[str, Any], segments: Iterable[Mapping[str, Any]]) -> list[NodeResult]:
    """Each node with the worst that was seen of its clock; none where the run was measured by one machine."""
    if "nodes" not in header:
        return []
    marks = [node for line in segments for node in line.get("nodes", ())]
    return [_node(line, [one for one in marks if one["node"] == line["name"]]) for line in header["nodes"]]


def _node(line: Mapping[str, Any], marks: list[Mapping[str, Any]]) -> NodeResult:
    drifts = [abs(one["drift_ns"]) for one in marks if one["drift_ns"] is not None]
    lags = [one["lag_max_ns"] for one in marks if one["lag_max_ns"] is not None]
    shares = [one["cpu_share"] for one in marks if one["cpu_share"] is not None]
    return NodeResult(
        name=line["name"],
        host=line["host"],
        versions=line["versions"],
        tool_version=line["tool_version"],
        most_connections=line["most_connections"],
        calibrated=line["calibration"] is not None,
        requests=sum(one["requests"] for one in marks),
        clock_bound_s=max((one["bound_ns"] for one in marks), default=0) / NS if marks else None,
        clock_drift_s=max(drifts) / NS if drifts else None,
        lag_max_s=max(lags) / NS if lags else None,
        cpu_share=max(shares, default=None),
    )
