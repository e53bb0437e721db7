"""The chats file of a recording: which chat a request continues, and what is appended of it.

A line has only what is new: the messages that a request adds to its chat, or the answer to them. Lines of one `chat`
in their order are its whole course, so that a recording that was killed has all that was said until then.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pydantic_core

from lmx_loadgen.decode.chat import StreamRules, read_answer
from lmx_loadgen.decode.tool_calls import read_tool_answer
from lmx_loadgen.errors import StorageError
from lmx_loadgen.recording.exchange import PassedRequest
from lmx_loadgen.recording.masking import Masker
from lmx_loadgen.system.api_keys import Keys

_MOST_CHATS = 10_000
_PRIVATE = 0o600
_SETTINGS = ("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed")
_CHAT_PATH = "/chat/completions"
_MS = 1e6


@dataclass
class _Chat:
    """A chat that may go on: its name, how many turns it has, and how many messages were sent with the last of them."""

    name: str
    turns: int
    sent: int


class ChatLog:
    """Appends what passes to a file, a line at a time. `other` counts requests that were passed on and not stored, by
    their path."""

    def __init__(self, path: Path, masker: Masker, start_ns: int, header: Mapping[str, Any]) -> None:
        self.chats = self.turns = self.answers = 0
        self.other: dict[str, int] = {}
        self._masker = masker
        self._start_ns = start_ns
        self._open: OrderedDict[str, _Chat] = OrderedDict()
        self._asked: dict[int, tuple[_Chat, int]] = {}
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, _PRIVATE)
        except FileExistsError:
            raise StorageError(f"{path} exists already: name another file with --out") from None
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror or error}") from None
        self._append({"recording": dict(header)})

    def note(self, what: str, exchange: PassedRequest) -> None:
        """A request was `asked` of the server, or `answered`."""
        if what == "asked":
            self._note_asked(exchange)
        elif id(exchange) in self._asked:
            self._note_answered(exchange, *self._asked.pop(id(exchange)))

    def _note_asked(self, exchange: PassedRequest) -> None:
        body = _body_of(exchange)
        messages = body.get("messages")
        if exchange.method != "POST" or not exchange.path.partition("?")[0].endswith(_CHAT_PATH) or not messages:
            path = exchange.path.partition("?")[0][:80]
            self.other[path] = self.other.get(path, 0) + 1
            return
        chat, new = self._chat_of(messages)
        chat.turns += 1
        self.turns += 1
        self._asked[id(exchange)] = (chat, chat.turns)
        keys = Keys.sent_in(exchange.headers)
        line: dict[str, Any] = {
            "chat": chat.name,
            "turn": chat.turns,
            "at_s": round((exchange.sent_ns - self._start_ns) / 1e9, 6),
            "model": keys.redact(str(body.get("model"))[:200]),
            "messages": [self._masker.message(message, keys) for message in new],
            "settings": {name: body[name] for name in _SETTINGS if name in body},
        }
        if isinstance(body.get("tools"), list) and body["tools"]:
            line["tools"] = self._masker.tools(body["tools"], keys)
        self._append(line)

    def _chat_of(self, messages: Sequence[Mapping[str, Any]]) -> tuple[_Chat, Sequence[Mapping[str, Any]]]:
        """The chat that these messages go on with, and what they add to it; a new one where there is none. A chat is
        known by what was sent in it apart from answers, which apps trim before they send them back."""
        said = [message for message in messages if message.get("role") != "assistant"]
        keys = _keys_of(said)
        for place in range(len(said) - 1, 0, -1):
            chat = self._open.get(keys[place - 1])
            if chat is not None and chat.sent < len(messages):
                del self._open[keys[place - 1]]
                start = chat.sent + (messages[chat.sent].get("role") == "assistant")
                chat.sent = len(messages)
                self._remember(keys[-1], chat)
                return chat, messages[start:]
        self.chats += 1
        chat = _Chat(str(self.chats), 0, len(messages))
        self._remember(keys[-1] if keys else "", chat)
        return chat, messages

    def _remember(self, key: str, chat: _Chat) -> None:
        self._open[key] = chat
        if len(self._open) > _MOST_CHATS:
            self._open.popitem(last=False)

    def _note_answered(self, exchange: PassedRequest, chat: _Chat, turn: int) -> None:
        keys = Keys.sent_in(exchange.headers)
        read = read_answer(exchange.raw, "chat", StreamRules())
        whole = read_tool_answer(exchange.plain_body)
        message: dict[str, Any] = {"role": "assistant", "content": whole.content or None}
        if whole.calls:
            function = [{"name": call.name, "arguments": call.arguments} for call in whole.calls]
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": one}
                for call, one in zip(whole.calls, function, strict=True)
            ]
        is_answer = bool(whole.content or whole.calls)
        self.answers += is_answer
        first = next((read.arrivals[at][0] for at, kind, text in read.events if text.strip() and kind != "usage"), None)
        self._append(
            {
                "chat": chat.name,
                "turn": turn,
                "messages": [self._masker.message(message, keys)] if is_answer else [],
                "status": exchange.status,
                "complete": exchange.is_whole,
                "ttft_ms": None if first is None else round(first / _MS, 3),
                "e2e_ms": round((exchange.ended_ns - exchange.sent_ns) / _MS, 3),
                "usage": read.usage or _body_in(exchange.plain_body).get("usage"),
                "finish_reason": read.finish_reason or whole.finish_reason,
            }
        )

    def end(self, note: Mapping[str, Any]) -> None:
        """Append the note on the recording, and close."""
        self._append({"note": dict(note)})
        os.close(self._fd)

    def _append(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        os.write(self._fd, data)


def _keys_of(said: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each number of messages, what tells a chat of that many from any other."""
    keys, sum_ = [], blake2b(digest_size=16)
    for message in said:
        sum_.update(pydantic_core.to_json([message.get("role"), message.get("content")], serialize_unknown=True))
        keys.append(sum_.hexdigest())
    return keys


def _body_of(exchange: PassedRequest) -> dict[str, Any]:
    body = _body_in(exchange.request)
    messages = body.get("messages")
    is_list = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
    return body if is_list else {}


def _body_in(data: bytes) -> dict[str, Any]:
    try:
        found = pydantic_core.from_json(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
