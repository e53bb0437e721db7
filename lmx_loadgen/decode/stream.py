"""The events of one stream: which of them belong to the answer, and what they say."""

from collections.abc import Iterable
from typing import Any

from lmx_loadgen.decode.chunks import Chunks
from lmx_loadgen.decode.errors import error_in, plain, words_of_error
from lmx_loadgen.decode.fields import from_json
from lmx_loadgen.decode.pings import is_ping
from lmx_loadgen.decode.sse import Item

# More than the longest answer that can be asked for has, and small enough to hold and to store.
MAX_EVENTS = 500_000
MAX_TEXT = 8 * 1024 * 1024


class Stream(Chunks):
    """Reads the events of one stream and gathers what they say.

    `garbage` is the first event that was none of an answer and may have been text. `read_to` is where in the body the
    last event ended.

    Args:
        endpoint: "chat" or "completions".
        named: chunks under an event name of their own are the answer. Clients pass such events over, so they are
            nobody's answer where there are chunks without a name.
    """

    def __init__(self, endpoint: str, *, named: bool = False) -> None:
        super().__init__(endpoint)
        self.named = named
        self.garbage: str | None = None
        self.done = False
        self.has_named_chunks = False
        self.has_joined_chunks = False
        self.items = 0
        self.read_to = 0

    def read(self, items: Iterable[Item], arrivals: list[tuple[int, int]]) -> None:
        """Read the events of a body, whose reads were these (offset in ns, bytes)."""
        index, reached, last = 0, arrivals[0][1] if arrivals else 0, len(arrivals) - 1
        for item in items:
            while reached < item.end and index < last:
                index += 1
                reached += arrivals[index][1]
            self.items += 1
            if len(self.events) >= MAX_EVENTS or self.text_size > MAX_TEXT:
                too_much = f"an answer of over {MAX_EVENTS} events or {MAX_TEXT // 2**20} MB of text"
                self.garbage = self.garbage or too_much
                return
            self.read_to = item.end
            if item.comment:
                self.events.append((index, "ping", ""))
            else:
                self._event(item, index)

    def read_pending(self, readings: Iterable[Item], index: int) -> bool:
        """Read the event that the stream ended inside of, if one of its readings is whole; `index` is the last read."""
        for item in readings:
            if _is_done(item.data) or isinstance(_json(item.data), dict):
                self.items += 1
                self.read_to = item.end
                self._event(item, index)
                return True
        return False

    # -- events

    def _event(self, item: Item, index: int) -> None:
        data = item.data
        if data == "[DONE]":
            self.done = True
            self.events.append((index, "done", ""))
            return
        if item.event != "message" and not self._is_ours(item):
            self.events.append((index, "ping", ""))
            return
        try:
            chunk = from_json(data)
        except ValueError:
            self._no_json(item, index)
            return
        if not isinstance(chunk, dict):
            self._no_object(item, chunk, index)
        elif item.event != "message" and _is_error_name(item.event):
            self._failed(words_of_error(chunk) or plain(data), index)
        elif ("error" in chunk or "choices" not in chunk) and (words := error_in(chunk)) is not None:
            self._failed(words, index)
        else:
            self.take(chunk, index)

    def _is_ours(self, item: Item) -> bool:
        """Whether an event with a name of its own belongs to the answer: errors do, and chunks where all have names."""
        if _is_error_name(item.event):
            return bool(item.data.strip())
        if '"choices"' in item.data:
            self.has_named_chunks = True
            return self.named
        if '"error"' in item.data and isinstance(chunk := _json(item.data), dict):
            self.remark = error_in(chunk) or self.remark
        return False

    def _no_json(self, item: Item, index: int) -> None:
        data = item.data
        if _is_done(data):
            self.done = True
            self.events.append((index, "done", ""))
        elif _is_error_name(item.event):
            self._failed(plain(data), index)
        elif is_ping(data):
            self.events.append((index, "ping", ""))
        elif "\n" in data and all(_is_done(line) or isinstance(_json(line), dict) for line in data.split("\n")):
            self.has_joined_chunks = True
            for line in data.split("\n"):
                self._event(item._replace(data=line), index)
        else:
            self._garbage(data, index)

    def _no_object(self, item: Item, value: Any, index: int) -> None:
        if _is_error_name(item.event):
            self._failed(words_of_error(value) or plain(item.data), index)
        elif value == "[DONE]":
            self.done = True
            self.events.append((index, "done", ""))
        elif isinstance(value, list) and any(isinstance(part, dict) and part.get("error") for part in value):
            self._failed(words_of_error(value) or plain(item.data), index)
        elif not value or isinstance(value, int | float) or (isinstance(value, str) and is_ping(value)):
            self.events.append((index, "ping", ""))
        else:
            self._garbage(item.data, index)

    def _failed(self, words: str, index: int) -> None:
        self.error = self.error or words
        self.events.append((index, "error", words))

    def _garbage(self, data: str, index: int) -> None:
        self.garbage = self.garbage or f"an event that is not a JSON object: {plain(data, 160)}"
        self.events.append((index, "other", ""))


def _json(data: str) -> Any:
    try:
        return from_json(data)
    except ValueError:
        return None


def _is_done(data: str) -> bool:
    return data.strip() == "[DONE]"


def _is_error_name(event: str) -> bool:
    return event.lower().endswith("error")
