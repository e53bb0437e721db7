"""Whether this machine spoiled a round of a comparison while it was measured: asked before the next one begins."""

from dataclasses import replace

from lmx_loadgen.analysis.comparison.blocks import COMPARED
from lmx_loadgen.analysis.conditions import slept_s
from lmx_loadgen.analysis.instrument_error import is_tainted
from lmx_loadgen.analysis.level import level_result
from lmx_loadgen.analysis.records import records, stamped_by_loop
from lmx_loadgen.store.eventlog import LogContents


def is_round_tainted(log: LogContents, level: int, block: int) -> bool:
    """Whether the machine slept in this block, or a compared figure of any target is tainted in it by delays.

    What the calibration says is the same however often a block is measured, and no reason to measure it again.
    """
    here = replace(
        log,
        header=log.header | {"instrument": log.header["instrument"] | {"calibration": None}},
        requests=[line for line in log.requests if (line["level"], line["block"]) == (level, block)],
        segments=[line for line in log.segments if (line["level"], line["block"]) == (level, block)],
    )
    if slept_s(here, here.segments):
        return True
    for target in log.header["targets"]:
        lines = [line for line in here.requests if line["target"] == target["name"]]
        if lines:
            found = level_result(here, target, level, records(lines, stamped_by_loop(log.header, target))).metrics
            if any(is_tainted(found[one.metric]) for one in COMPARED.values()):
                return True
    return False
