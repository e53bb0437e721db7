"""HTTP for small servers: requests in, streams of events out, on a connection that is kept open."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]
# Given a request's body and where its events go.
Answer = Callable[[dict[str, Any], Send], Awaitable[None]]

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def serve(model: str, answer: Answer) -> int:
    """Serve chat completions of one model on a port of 127.0.0.1 from now on; the port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await _exchange(reader, writer, model, answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, model: str, answer: Answer) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    (method, path, _), headers = head.split("\r\n")[0].split(" "), head.lower()
    length = int(headers.partition("content-length:")[2].split("\r\n")[0] or 0)
    body = await reader.readexactly(length)
    if method == "POST" and path == "/v1/chat/completions":
        writer.write(_STREAM)

        async def send(event: dict[str, Any]) -> None:
            _chunk(writer, b"data: " + json.dumps(event).encode() + b"\n\n")
            await writer.drain()

        await answer(json.loads(body), send)
        _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
    else:
        found = path == "/v1/models"
        listed = {"object": "list", "data": [{"id": model, "object": "model"}]} if found else {"error": "not found"}
        data = json.dumps(listed).encode()
        status = b"200 OK" if found else b"404 Not Found"
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(data))
        )
        writer.write(data)
    await writer.drain()


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
