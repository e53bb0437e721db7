"""Everything that can go wrong with an answer, by name, and every odd way in which one can be right.

A fault gets the exchange before the engine does. One of `REPLACED` takes the response over. One of `BENT` changes
something about it (what happens before text event number `after`, other bytes, another end), and the answer runs on
its normal schedule. Nothing here lasts longer than `seconds`. Faults in mid-stream need a stream; of a request that
is not streamed, only the reset and the stall in mid-answer, and wrong counts apply.
"""

from lmx_loadgen.sim.faults import counts, endings, errors, events, reasoning, responses, tools
from lmx_loadgen.sim.faults.base import Fault

REPLACED: dict[str, Fault] = responses.REPLACED | errors.REPLACED
BENT: dict[str, Fault] = (
    responses.BENT | counts.BENT | endings.BENT | events.BENT | reasoning.BENT | errors.BENT | tools.BENT
)
FAULTS = REPLACED | BENT
