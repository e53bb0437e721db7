"""A server over a real socket that plays a script: what to send, when to hang up, byte for byte."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

RESET = "reset"
CLOSE = "close"
HANG = "hang"

Step = bytes | str | asyncio.Event
Script = list[Step]


@dataclass
class Scripted:
    """Answers the n-th request with the n-th script (the last one again and again). `requests` is what it read."""

    scripts: list[Script]
    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    closed_by_client: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1/chat/completions"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(request)
                if not await self._play(script, reader, writer):
                    return
        finally:
            with contextlib.suppress(Exception):
                writer.close()

    async def _play(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False when the connection is over."""
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step == CLOSE:
                writer.close()
                return False
            elif step == RESET:
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            elif step == HANG:
                await reader.read()
                self.closed_by_client.set()
                return False
        return True


async def _read_request(reader: asyncio.StreamReader) -> bytes | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")),
            0,
        )
        return head + await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


@contextlib.asynccontextmanager
async def serving(
    *scripts: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Scripted]:
    """A scripted server, listening until the block ends."""
    scripted = Scripted(list(scripts), host=host)
    server = await asyncio.start_server(scripted.handle, host, 0, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()


@contextlib.contextmanager
def served_in_thread(script: Script) -> Iterator[str]:
    """The base URL of a scripted server in a thread of its own."""
    loop, urls, over = asyncio.new_event_loop(), [], asyncio.Event()
    is_up = threading.Event()

    async def serve() -> None:
        async with serving(script) as server:
            urls.append(f"http://127.0.0.1:{server.port}/v1")
            is_up.set()
            await over.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert is_up.wait(20)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()


def chunked(*parts: bytes, end: bool = True) -> bytes:
    """`parts` as HTTP chunks, with the closing chunk unless `end` is false."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return body + (b"0\r\n\r\n" if end else b"")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def delta(text: str) -> bytes:
    return b'data: {"id":"a","choices":[{"delta":{"content":"%s"}}]}\n\n' % text.encode()
