"""Tool calls as some servers send them. Without tools in the request these do nothing."""

from functools import partial

from lmx_loadgen.sim.answer import ScriptedToolCall
from lmx_loadgen.sim.dialects.base import Json
from lmx_loadgen.sim.exchange import Composed, Exchange, each_choice
from lmx_loadgen.sim.faults.base import Fault
from lmx_loadgen.sim.text import split_pieces


def _with_ids(x: Exchange, begin: int, end: int, *, call: ScriptedToolCall, names_each: bool) -> Composed:
    """A piece of a call of index 0, with an id of its own; the first has the call's name, or each has it."""
    function = {"name": call.name if names_each or begin == 0 else "", "arguments": x.script.text(begin, end)}
    piece: Json = {"index": 0, "id": f"{call.id}-{x.answer.chunks}", "type": "function", "function": function}
    return [(x.dialect.delta_event(x.answer, {"tool_calls": [piece]}), 1, end - begin)]


def new_id_each_piece(x: Exchange) -> None:
    """Every piece of the one call has an id of its own; only the first has the name."""
    if x.answer.call is not None:
        x.compose = partial(_with_ids, call=x.answer.call, names_each=False)


def two_calls_of_index_0(x: Exchange) -> None:
    """Two whole calls, the same but for their ids, both with index 0; max_tokens does not end them."""
    if x.answer.call is not None:
        count = len(x.script.pieces)
        x.script.total, x.script.per_chunk, x.answer.finish = 2 * count, count, "tool_calls"
        x.compose = partial(_with_ids, call=x.answer.call, names_each=True)


def left_in_text(x: Exchange) -> None:
    """Newer Mistral's form, which a server that does not know it leaves in the text: `[TOOL_CALLS]name{…}`."""
    call = x.answer.call
    if call is None:
        return
    x.answer.call, x.answer.finish = None, "stop"
    x.script.pieces = split_pieces(f"[TOOL_CALLS]{call.name}{''.join(call.arguments)}")
    x.script.start, x.script.total, x.script.per_chunk = 0, len(x.script.pieces), 1
    x.compose = each_choice


BENT: dict[str, Fault] = {
    "tool_new_id_each_piece": new_id_each_piece,
    "tool_two_calls_of_index_0": two_calls_of_index_0,
    "tool_call_left_in_text": left_in_text,
}
