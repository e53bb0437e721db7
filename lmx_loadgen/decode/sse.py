"""Server-sent events, by the WHATWG rules, with the place in the stream where each one was complete.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. Lines end in LF, CR
or CRLF and in nothing else (not in U+2028, which occurs inside JSON); one BOM at the start is skipped; an
event that the stream ends inside of is not an event. Servers that forget the empty line are read by two means beyond
the rules, which the caller has to ask for: `Decoder.pending` and `each_line`.
"""

from collections.abc import Iterator
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_STRETCH = 1024 * 1024


class Item(NamedTuple):
    """An event, or a comment (which servers use as a ping).

    `end` is the offset in the body just past the byte that completed it; `event` is the event's name, `data`
    its data, or the comment's text.
    """

    end: int
    event: str
    data: str
    comment: bool = False


class Decoder:
    """Decodes a stream fed in pieces split anywhere; the pieces do not change the items.

    Args:
        each_line: every `data` line is an event, as in a stream that has no empty lines.
    """

    def __init__(self, *, each_line: bool = False) -> None:
        self._each_line = each_line
        self._rest = b""
        self._offset = 0  # of the first byte of _rest in the body
        self._started = False
        self._after_cr = False
        self._data: list[bytes] = []
        self._event = b""

    def feed(self, piece: bytes) -> list[Item]:
        """The items that this piece completes."""
        buffer = self._rest + piece
        position = 0
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._rest = buffer
                return []
            self._started = True
            position = len(_BOM) if buffer.startswith(_BOM) else 0
        items: list[Item] = []
        if b"\r" in buffer or self._after_cr:
            position = self._any_line_ends(buffer, position, items)
        else:
            position = self._only_lf(buffer, position, items)
        self._rest = buffer[position:]
        self._offset += position
        return items

    def pending(self) -> list[Item]:
        """The event that the stream ended inside of, in each way it can be read: with its last line, which has no line
        end and may have been cut, and without. To be called once, after everything was fed."""
        end, event, data = self._offset + len(self._rest), self._event, self._data
        readings: list[Item] = []
        for line in dict.fromkeys((self._rest, b"")):
            self._event, self._data = event, list(data)
            found: list[Item] = []
            if line:
                self._line(line, end, found)
            self._line(b"", end, found)
            readings += [item for item in found if not item.comment]
        return readings

    def _only_lf(self, buffer: bytes, position: int, items: list[Item]) -> int:
        find, offset = buffer.find, self._offset
        while (end := find(b"\n", position)) >= 0:
            # The usual event, `data: …` and an empty line, is taken in one step.
            if buffer.startswith(b"data: ", position) and not self._data and buffer.startswith(b"\n", end + 1):
                data = buffer[position + 6 : end].decode("utf-8", "replace")
                position = end + 2
                items.append(Item(offset + position, self._take_event(), data))
                continue
            line = buffer[position:end]
            position = end + 1
            self._line(line, offset + position, items)
        return position

    def _any_line_ends(self, buffer: bytes, position: int, items: list[Item]) -> int:
        size = len(buffer)
        lf = cr = -2  # where the next one is: looked for again only once it is passed, or many lines would take hours
        while position < size:
            if self._after_cr:
                self._after_cr = False
                if buffer[position] == 0x0A:
                    position += 1
                    continue
            if lf != -1 and lf < position:
                lf = buffer.find(b"\n", position)
            if cr != -1 and cr < position:
                cr = buffer.find(b"\r", position)
            if lf < 0 and cr < 0:
                break
            end = lf if cr < 0 else cr if lf < 0 else min(lf, cr)
            self._after_cr = end == cr
            line = buffer[position:end]
            position = end + 1
            self._line(line, self._offset + position, items)
        return position

    def _line(self, line: bytes, end: int, items: list[Item]) -> None:
        if not line:
            if self._data:
                data = b"\n".join(self._data).decode("utf-8", "replace")
                self._data = []
                items.append(Item(end, self._take_event(), data))
            else:
                self._event = b""
            return
        name, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if not name:
            items.append(Item(end, "", value.decode("utf-8", "replace"), comment=True))
        elif name == b"data":
            self._data.append(value)
            if self._each_line:
                self._line(b"", end, items)
        elif name == b"event":
            self._event = value

    def _take_event(self) -> str:
        if not self._event:
            return "message"
        name, self._event = self._event.decode("utf-8", "replace"), b""
        return name


def decode(body: bytes, decoder: Decoder | None = None) -> Iterator[Item]:
    """The items of a whole body, a stretch of it at a time: a hostile one may hold millions."""
    decoder = decoder or Decoder()
    for start in range(0, len(body), _STRETCH):
        yield from decoder.feed(body[start : start + _STRETCH])
