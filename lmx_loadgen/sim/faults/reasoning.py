"""The first `thought_tokens` of the answer are thoughts, in each of the shapes that servers give them.

They count as tokens of the answer, and at least one is left for what a person reads. Only chat has fields for them.
"""

from collections.abc import Callable
from functools import partial

from lmx_loadgen.sim.dialects.base import Json
from lmx_loadgen.sim.exchange import Composed, Exchange, each_choice
from lmx_loadgen.sim.faults.base import Fault, put_pieces


def think(x: Exchange, shape: Callable[[str], Json]) -> None:
    """Thoughts in a field of the delta, as `shape` makes it of their text."""
    if x.answer.endpoint != "chat" or x.answer.call is not None:
        return
    thoughts = min(x.thought_tokens, max(0, x.script.total - 1))

    def compose(x: Exchange, begin: int, end: int) -> Composed:
        middle = min(max(begin, thoughts), end)
        thought = x.script.text(begin, middle)
        said: Composed = [(x.dialect.delta_event(x.answer, shape(thought)), 1, middle - begin)] if thought else []
        return said + (each_choice(x, middle, end) if middle < end else [])

    x.compose = compose


def _details(text: str) -> Json:
    return {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": text, "index": 0}]}


def _parts(text: str) -> Json:
    return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}


def think_in_tags(x: Exchange, opening: list[str], closing: list[str]) -> None:
    """Thoughts in the content, between tags; the template may have opened the tag itself."""
    if x.answer.call is not None:
        return
    room = x.script.total - len(opening) - len(closing) - 1
    put_pieces(x, min(x.thought_tokens, max(1, room)), closing)
    put_pieces(x, 0, opening)


def white_space_first(x: Exchange) -> None:
    """The first token is two line feeds."""
    put_pieces(x, 0, ["\n\n"])


BENT: dict[str, Fault] = {
    "reasoning_content": partial(think, shape=lambda text: {"reasoning_content": text}),
    "reasoning": partial(think, shape=lambda text: {"reasoning": text}),
    "reasoning_object": partial(think, shape=lambda text: {"reasoning": {"text": text}}),
    "reasoning_details": partial(think, shape=_details),
    "reasoning_parts": partial(think, shape=_parts),
    "think_tags": partial(think_in_tags, opening=["<think>"], closing=["</think>"]),
    "think_tags_opened_by_template": partial(think_in_tags, opening=[], closing=["</think>"]),
    "think_tags_split": partial(think_in_tags, opening=["<th", "ink>"], closing=["</thi", "nk>"]),
    "white_space_first": white_space_first,
}
