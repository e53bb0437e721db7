"""A server on 127.0.0.1 that plays the answer of a case (`tests/data/cases`) to whoever asks, piece by piece.

A case is a folder. `response.http` is what the server sends for each POST, head and body with its framing;
`response-2.http` and so on are other answers, taken in the order of `turns`. `models.http` answers GET …/models
(without it, one model `m` is listed), `refusal.http` a POST that `refuse` describes. `case.json` says under `replay`:

    delay_ms   pause before each piece of the body (an HTTP chunk, or an event where there are none), 5 by default
    pauses     {"3": 400}: another pause before piece 3, counted from 0
    turns      [1, 1, 2]: which answer the first, second, … POST gets, over and over
    refuse     "has:FIELD" or "role:system": such a request gets the refusal
    hold_s     keep the connection open for so long after the last piece, silent
    ping_s     … or with a comment each so many seconds
    close      close after each answer, without having said so
"""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODELS = b'{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"case"}]}'
PING = b": still here\n\n"


def whole_reply(status: str, body: bytes) -> bytes:
    """A short JSON reply of known length."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class PlayedAnswer:
    """One answer's bytes, cut where a server would have written."""

    def __init__(self, raw: bytes) -> None:
        end = raw.index(b"\r\n\r\n") + 4
        self.head, body = raw[:end], raw[end:]
        lines = self.head.lower()
        self.chunked = b"transfer-encoding: chunked" in lines
        self.ends_connection = b"connection: close" in lines or not (self.chunked or b"content-length:" in lines)
        self.pieces = list(http_chunks(body)) if self.chunked else re.split(rb"(?<=\n\n)(?=.)", body, flags=re.DOTALL)

    def framed(self, data: bytes) -> bytes:
        """More of the body, as this answer frames it."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data


def http_chunks(body: bytes) -> Iterator[bytes]:
    """The chunks with their framing; what is none (the last one, a cut end) comes as it is."""
    while body:
        line, _, rest = body.partition(b"\r\n")
        size = int(line, 16) if re.fullmatch(rb"[0-9a-fA-F]+", line) else 0
        whole = len(line) + 2 + size + 2
        if not size or len(rest) < size:
            yield body
            return
        yield body[:whole]
        body = body[whole:]


class ReplayServer:
    """Serves one case until `stop`; `asked` holds the JSON body of each POST."""

    def __init__(self, folder: Path, how: dict[str, Any]) -> None:
        self.how = how
        self.asked: list[dict[str, Any]] = []
        self.port = 0
        self._answers = [PlayedAnswer(path.read_bytes()) for path in sorted(folder.glob("response*.http"), key=_number)]
        self._models = _bytes_of(folder / "models.http") or whole_reply("200 OK", MODELS)
        self._refusal = _bytes_of(folder / "refusal.http")
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def base_url(self) -> str:
        """The address of the endpoints."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, ready: threading.Event) -> None:
        """Serve until `stop` is called from another thread."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connection(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End `serve`, held connections too."""
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may follow on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"(?im)^content-length:\s*(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        if head.startswith("GET"):
            listed = re.match(r"GET \S*/models ", head)
            writer.write(self._models if listed else whole_reply("404 Not Found", b'{"detail":"Not Found"}'))
            return True
        asked = json.loads(body)
        self.asked.append(asked)
        if self._refusal is not None and refuses(self.how.get("refuse", ""), asked):
            writer.write(self._refusal)
            return True
        turns = self.how.get("turns", [1])
        return await self._play(self._answers[turns[(len(self.asked) - 1) % len(turns)] - 1], writer)

    async def _play(self, answer: PlayedAnswer, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer.head)
        for number, piece in enumerate(answer.pieces):
            await asyncio.sleep(self.how.get("pauses", {}).get(str(number), self.how.get("delay_ms", 5)) / 1000)
            writer.write(piece)
            await writer.drain()
        await self._hold(answer, writer)
        return not (answer.ends_connection or self.how.get("close") or self.how.get("hold_s"))

    async def _hold(self, answer: PlayedAnswer, writer: asyncio.StreamWriter) -> None:
        seconds = self.how.get("hold_s", 0)
        step = self.how.get("ping_s", seconds)
        held = 0.0
        while held < seconds:
            await asyncio.sleep(step)
            held += step
            if held < seconds:
                writer.write(answer.framed(PING))
                await writer.drain()


def refuses(kind: str, asked: dict[str, Any]) -> bool:
    """Whether a request is of the kind that the case's server refuses."""
    if kind == "role:system":
        return any(message.get("role") == "system" for message in asked.get("messages", []))
    return kind.startswith("has:") and kind.removeprefix("has:") in asked


@contextmanager
def replaying(folder: Path) -> Iterator[ReplayServer]:
    """A server of the case in `folder`, in a thread of its own, up while the block runs."""
    server = ReplayServer(folder, json.loads((folder / "case.json").read_text("utf-8")).get("replay", {}))
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(ready)), daemon=True)
    thread.start()
    assert ready.wait(10), "the replay server did not start"
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[2] or 1)


def _bytes_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
