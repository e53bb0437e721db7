"""What the simulator says, and how it counts a prompt. One piece of text is one token."""

import json
import re
import zlib

PROSE = """\
The lighthouse stood at the end of a long stone wall, and every evening the keeper climbed its narrow stairs to
light the lamp. He had done so for thirty years, through calm summers and through winters when the sea threw
spray against the highest window. People in the village said that he knew the name of every ship on the coast.
That was not quite true, but he did keep a careful book. In it he wrote the hour of each passing vessel, the
direction of the wind, and the height of the water on the old iron scale below the door. When a young engineer
came to replace the lamp with an electric one, she asked to read the book before she began her work. She found
that the tide tables printed in the city were wrong by eleven minutes, always in the same direction, and that
the keeper had noticed this long ago. Nobody had ever asked him about it. So they sat down together, made a new
table from his numbers, and sent it to the harbour office with a short and friendly letter. The answer came two
months later. It thanked them both, and it said that measurements are only as good as the patience of the person
who takes them. The engineer framed the letter and hung it beside the stairs, where visitors can still see it
today. Some of them smile at it, and some of them look at their watches, and then everybody goes up to see the
light.
"""


def split_pieces(text: str) -> list[str]:
    """Cut a text into token-like pieces that join back to it: a word with the blanks before it, or a mark."""
    return re.findall(r"\s*(?:[^\W_]+|[^\w\s]|_)|\s+$", text)


ANSWER = [" The", *split_pieces(" ".join(PROSE.split()))[1:]]
# Where an answer may begin: after a full stop.
BEGINNINGS = [0, *(i for i in range(1, len(ANSWER)) if ANSWER[i - 1] == ".")]


def escaped(piece: str, ascii_only: bool = False) -> bytes:
    """A piece as it stands between the quotes of a JSON string."""
    return json.dumps(piece, ensure_ascii=ascii_only)[1:-1].encode(errors="replace")


def prompt_text(body: dict[str, object]) -> str:
    """Everything a model would read: the contents of all messages, or the prompt. Unknown shapes read as empty."""
    messages = body.get("messages")
    if isinstance(messages, list):
        return "\n".join(_content(message) for message in messages)
    prompt = body.get("prompt")
    if isinstance(prompt, list):
        return "\n".join(str(part) for part in prompt)
    return prompt if isinstance(prompt, str) else ""


def has_system_role(body: dict[str, object]) -> bool:
    """Whether any message of a request is the system's."""
    messages = body.get("messages")
    listed = messages if isinstance(messages, list) else []
    return any(isinstance(message, dict) and message.get("role") == "system" for message in listed)


def _content(message: object) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def count_prompt(body: dict[str, object], text: str) -> int:
    """Prompt tokens: a token for every four characters begun, and four a message for the template. At least 1."""
    messages = body.get("messages")
    template = 4 * len(messages) if isinstance(messages, list) else 0
    return max(1, (len(text) + 3) // 4 + template)


def seed_of(text: str, seed: int) -> int:
    """A number that depends only on the prompt and the seed, so that the same prompt gets the same answer."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), seed & 0xFFFFFFFF)


class PrefixCache:
    """Which prompt beginnings were read before, in blocks of 64 characters (16 tokens), oldest forgotten first."""

    BLOCK = 64
    LIMIT = 200_000

    def __init__(self) -> None:
        self._seen: dict[int, None] = {}

    def cached_tokens(self, text: str) -> int:
        """Tokens of the longest known beginning of this prompt; remembers the prompt."""
        known, chain, broken = 0, 0, False
        for start in range(0, len(text), self.BLOCK):
            block = text[start : start + self.BLOCK]
            chain = hash((chain, block))
            broken = broken or chain not in self._seen
            known += 0 if broken else len(block)
            self._seen[chain] = None
        while len(self._seen) > self.LIMIT:
            del self._seen[next(iter(self._seen))]
        return known // 4
