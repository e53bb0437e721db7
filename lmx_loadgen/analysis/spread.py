"""A count of tokens shared out over the reads that brought them."""

from collections.abc import Sequence


def spread(total: float, characters: Sequence[int], events: Sequence[int]) -> tuple[float, ...]:
    """The tokens of each read, which sum up to `total`: its share of the characters, but one a text event at least.

    An even share of the events is 10 % wrong for chunks of four tokens, since the first chunk often holds one. Where
    there are as many tokens as events, each event is one, however long its text. Without characters (a log may hold no
    text) the share of the events is all there is.
    """
    of_events = sum(events)
    if total <= of_events or len(characters) != len(events) or not any(characters):
        return tuple(total * number / of_events for number in events)
    shares = [0.0] * len(events)
    left, length = total, sum(characters)
    ascending = sorted(range(len(events)), key=lambda place: characters[place] / events[place])
    for done, place in enumerate(ascending):
        if left * characters[place] >= events[place] * length:
            for other in ascending[done:]:
                shares[other] = left * characters[other] / length
            break
        shares[place] = float(events[place])
        left, length = left - events[place], length - characters[place]
    return tuple(shares)
