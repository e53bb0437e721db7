"""Signs of life that are no comments: what servers put into the data of an event while there is nothing to say."""

import re

# A comment within the data, a date, or one of a few words with a number or a date.
_PING = re.compile(
    r""":.*|[\d\s:.,TZ+/-]+|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s[\w\s:,+-]*
    |[\[(<"]?(?:ping|pong|heart-?beat|keep[-_\s]?alive|alive|open|opened|connected|noop)[\])>"]?[\s:#-]*[\d\s:.,TZ+/-]*""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST = 200


def is_ping(data: str) -> bool:
    """Whether this is a sign of life; whatever else is no JSON may have been text, and its loss is a fault."""
    text = data.strip()
    return len(text) <= _LONGEST and (not text or _PING.fullmatch(text) is not None)
