"""Tool calls as some servers send them. Without tools in the request these do nothing."""

from lmx_loadgen.sim.dialects.base import Json
from lmx_loadgen.sim.exchange import Composed, Exchange, each_choice
from lmx_loadgen.sim.faults.base import Fault
from lmx_loadgen.sim.text import split_pieces


def _call_event(x: Exchange, id: str, name: str, arguments: str) -> bytes:
    call: Json = {"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return x.dialect.delta_event(x.answer, {"tool_calls": [call]})


def new_id_each_piece(x: Exchange) -> None:
    """Every piece of the one call has an id of its own; only the first has the name."""
    call = x.answer.call
    if call is None:
        return

    def compose(x: Exchange, begin: int, end: int) -> Composed:
        name = call.name if begin == 0 else ""
        arguments = x.script.text(begin, end)
        return [(_call_event(x, f"{call.id}-{x.answer.chunks}", name, arguments), 1, end - begin)]

    x.compose = compose


def two_calls_of_index_0(x: Exchange) -> None:
    """Two whole calls, the same but for their ids, both with index 0; max_tokens does not end them."""
    call = x.answer.call
    if call is None:
        return
    count = len(x.script.pieces)
    x.script.total, x.script.per_chunk, x.answer.finish = 2 * count, count, "tool_calls"

    def compose(x: Exchange, begin: int, end: int) -> Composed:
        arguments = x.script.text(begin, end)
        return [(_call_event(x, f"{call.id}-{x.answer.chunks}", call.name, arguments), 1, end - begin)]

    x.compose = compose


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
