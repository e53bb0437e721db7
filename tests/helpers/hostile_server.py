"""A server that answers whatever it is told to, over real sockets: a function from a request to an answer."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request: `number` counts the generations, from 0; it is -1 of other requests."""

    path: str
    headers: dict[str, str]
    number: int
    body: bytes = b""


@dataclass
class Told:
    """An answer. Header values go out as they are, control characters and all."""

    body: bytes
    status: int = 200
    headers: list[tuple[str, bytes]] = field(default_factory=list)


Answer = Callable[[Asked], Told]


def as_text(text: str) -> Told:
    return Told(text.encode(), 200, [("Content-Type", b"text/plain")])


def as_json(data: Any, status: int = 200) -> Told:
    return Told(json.dumps(data).encode(), status, [("Content-Type", b"application/json")])


def stream(*chunks: Any, done: bool = True) -> Told:
    """The chunks as server-sent events; bytes go out as they are."""
    events = [
        chunk if isinstance(chunk, bytes) else b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks
    ]
    return Told(b"".join(events) + b"data: [DONE]\n\n" * done, headers=[("Content-Type", b"text/event-stream")])


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": finish}], **more}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.lock = threading.Lock()
        self.generations = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._tell(-1)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            number = self.server.generations
            self.server.generations += 1
        self._tell(number, body)

    def _tell(self, number: int, body: bytes = b"") -> None:
        told = self.server.answer(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, number, body))
        head = [b"HTTP/1.1 %d Said" % told.status, b"Content-Length: %d" % len(told.body)]
        head += [name.encode() + b": " + value for name, value in told.headers]
        self.wfile.write(b"\r\n".join(head) + b"\r\n\r\n" + told.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def answering(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Its address, while the block runs; with `tls` it is that of `localhost`, by https."""
    with _Server(answer) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"{'http://127.0.0.1' if tls is None else 'https://localhost'}:{server.server_port}"
        server.shutdown()
        thread.join()
