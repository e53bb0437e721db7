"""Tokens that nobody sees, and counts that are wrong. `thought_tokens` says how many are hidden or held back."""

from functools import partial

from lmx_loadgen.sim.exchange import Exchange, each_choice
from lmx_loadgen.sim.faults.base import Fault


def hidden_reasoning(x: Exchange, told: bool) -> None:
    """The model thinks in silence before its first word; usage counts the thoughts, and says how many or not."""
    hidden = x.script.hide(x.thought_tokens)
    x.answer.reasoning_tokens = hidden if told else None


def running_usage(x: Exchange) -> None:
    """Usage so far in each chunk, whatever was asked for."""
    x.answer.running_usage = x.answer.include_usage = True
    x.compose = x.compose or each_choice


def held_back(x: Exchange) -> None:
    """A parser holds the text of some tokens back, from text event number `after` on, and then gives it in one event.
    A running usage shows it."""
    running_usage(x)
    x.script.sizes[x.after] = max(1, x.thought_tokens)


def swallowed_by_parser(x: Exchange) -> None:
    """A parser takes the first tokens for itself: an empty delta for each, with a running usage."""
    running_usage(x)
    x.script.hide(x.thought_tokens)
    x.on_unseen = _send_empty


def _send_empty(x: Exchange) -> None:
    x.send_groups([[x.dialect.text_event(x.answer, "")]])


def usage_one_short(x: Exchange) -> None:
    """Usage counts a token less than there are text events."""
    x.answer.miscount = -1


def over_the_limit(x: Exchange) -> None:
    """The server ignores max_tokens: eight more, and then the answer ends by itself."""
    if x.answer.call is None:
        x.script.total += 8
        x.answer.finish = "stop"


BENT: dict[str, Fault] = {
    "hidden_reasoning": partial(hidden_reasoning, told=True),
    "hidden_reasoning_untold": partial(hidden_reasoning, told=False),
    "running_usage": running_usage,
    "held_back": held_back,
    "swallowed_by_parser": swallowed_by_parser,
    "usage_one_short": usage_one_short,
    "over_the_limit": over_the_limit,
}
