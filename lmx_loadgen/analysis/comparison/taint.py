"""Whether this machine spoiled a round of a comparison while it was measured: asked before the next one begins."""

from dataclasses import replace

from lmx_loadgen.analysis.comparison.blocks import COMPARED
from lmx_loadgen.analysis.conditions import slept_s
from lmx_loadgen.analysis.instrument_error import is_tainted
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.log_reader import LogLine
from lmx_loadgen.store.segment_key import LOAD, segment_key


def is_round_tainted(run: MeasuredRun, point: LoadPoint, block: int) -> bool:
    """Whether the machine slept in this block, or a compared figure of any target is tainted in it by delays.

    What the calibration says is the same however often a block is measured, and no reason to measure it again.
    """

    def is_of_round(line: LogLine) -> bool:
        return segment_key(line)[1:] == (point, block, LOAD)

    log = run.log
    header = log.header | {"instrument": log.header["instrument"] | {"calibration": None}}
    here = replace(log, header=header, requests=[], segments=list(filter(is_of_round, log.segments)))
    if slept_s(here, here.segments):
        return True
    of_round = MeasuredRun(here, where(run.records, lambda one: one.key[1:] == (point, block, LOAD)))
    figures = [of_round.level(name, point).metrics for name in run.targets if of_round.requests(name, point)]
    compared = [one.metric for one in COMPARED.values() if one.of_blocks]
    return any(is_tainted(of_target[metric]) for of_target in figures for metric in compared)
