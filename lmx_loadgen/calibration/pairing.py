"""The instrument's own error: what it saw against what the simulator truly did, request by request.

The error of a time to first token has two parts. *Send*: from our `send` stamp to the simulator's receipt of the whole
request. *Receive*: from the simulator's write to our arrival stamp. Their sum is by how much our TTFT is too long. When
the simulator is late against its own plan, that is its truth and no error of ours: its log holds actual times.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from lmx_loadgen.analysis.stats import percentile
from lmx_loadgen.decode.chat import TEXT_KINDS
from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.sim.truth import Truth
from lmx_loadgen.store.calibration import SpreadResult
from lmx_loadgen.system.clock import NS

# An effect cannot come before its cause; stamps carried between two clocks of the kernel may be off by this much.
_CLOCK_SLACK_NS = 200_000


class ClocksDisagree(LoadgenError):
    """Two processes of this machine do not read the same clock, so their times cannot be subtracted."""


@dataclass(slots=True)
class Errors:
    """Errors in ns, client − truth, of a set of requests.

    `chunk` has one entry for each text event, `gap` one for the time between two of them, `stall` one for the longest
    of an answer's gaps, `tpot` one for the mean of them.
    """

    send: list[int] = field(default_factory=list)
    receive: list[int] = field(default_factory=list)
    ttft: list[int] = field(default_factory=list)
    chunk: list[int] = field(default_factory=list)
    gap: list[int] = field(default_factory=list)
    stall: list[int] = field(default_factory=list)
    tpot: list[float] = field(default_factory=list)
    unpaired: int = 0


def errors_of(lines: Iterable[Mapping[str, Any]], truths: Mapping[str, Truth]) -> Errors:
    """Pair each answered request with the simulator's log by response id.

    Raises ClocksDisagree when something was seen before it happened.
    """
    found = Errors()
    for line in lines:
        truth = truths.get(line["response_id"] or "")
        if line["outcome"] != "ok" or line["phase"] != "measured":
            continue
        if truth is None or not _pair(line, truth, found):
            found.unpaired += 1
    return found


def _pair(line: Mapping[str, Any], truth: Truth, found: Errors) -> bool:
    send = line["send_ns"]
    seen = [send + line["arrivals"][index][0] for index, kind, _ in line["events"] if kind in TEXT_KINDS]
    written = [write.at_ns for write in truth.writes for _ in range(write.tokens)]
    if not seen or len(seen) != len(written):
        return False
    errors = [arrival - write for arrival, write in zip(seen, written, strict=True)]
    sending = truth.received_ns - send
    if min(sending, *errors) < -_CLOCK_SLACK_NS:
        raise ClocksDisagree(
            f"the clocks of two processes on this machine disagree by {-min(sending, *errors) / 1e6:.1f} ms, "
            "so nothing can be calibrated here"
        )
    found.send.append(sending)
    found.receive.append(errors[0])
    found.ttft.append(sending + errors[0])
    found.chunk += errors
    if len(seen) > 1:
        found.gap += [late - early for early, late in pairwise(errors)]
        found.stall.append(_longest(seen) - _longest(written))
        found.tpot.append((errors[-1] - errors[0]) / (len(seen) - 1))
    return True


def _longest(times: Sequence[int]) -> int:
    return max(late - early for early, late in pairwise(times))


def spread(errors: Sequence[float]) -> SpreadResult | None:
    """The spread of errors by size: an error of −1 ms is as bad as one of +1 ms."""
    sizes = sorted(abs(error) / NS for error in errors)
    if not sizes:
        return None
    middle, high = percentile(sizes, 50), percentile(sizes, 99)
    assert middle is not None
    assert high is not None
    return SpreadResult(p50=middle, p99=high, max=sizes[-1])
