"""What all faults are made of."""

from collections.abc import Callable

from lmx_loadgen.sim.exchange import Exchange
from lmx_loadgen.system.clock import NS, now_ns

Fault = Callable[[Exchange], None]

MESSAGE = "Stream inference failed: the simulator is set to fail"


def seconds_from_now(x: Exchange) -> int:
    """When a bounded fault must be over."""
    return now_ns() + int(x.seconds * NS)


def in_mid_stream(act: Fault, unstreamed: bool = False) -> Fault:
    """Do `act` in place of text event number `after`."""

    def arm(x: Exchange) -> None:
        if x.answer.stream or unstreamed:
            x.mid_stream_at = min(x.after, max(0, -(-x.script.total // x.script.per_chunk) - 1))
            x.mid_stream_fault = act

    return arm


def put_pieces(x: Exchange, at: int, pieces: list[str]) -> None:
    """Say `pieces`, one a token, before token number `at`; the answer does not get longer."""
    script = x.script
    said = [script.text(i, i + 1) for i in range(script.total)]
    script.pieces, script.start = (said[:at] + pieces + said[at:])[: script.total] or [""], 0
