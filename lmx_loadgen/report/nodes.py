"""How many machines of a cluster measured a run, in a sentence."""

from lmx_loadgen.analysis.formats import milliseconds, plural
from lmx_loadgen.store.result import RunResult


def nodes_line(result: RunResult) -> str | None:
    """None for a run that one machine measured alone."""
    nodes = result.nodes
    if not nodes:
        return None
    machines = len({node.host.get("machine_id") for node in nodes})
    bounds = [node.clock_bound_s + (node.clock_drift_s or 0.0) for node in nodes if node.clock_bound_s is not None]
    clocks = f"; their clocks are known to {milliseconds(max(bounds))} ms, and no latency is of two" if bounds else ""
    return f"measured by {plural(len(nodes), 'node')} on {plural(machines, 'machine')}{clocks}"
