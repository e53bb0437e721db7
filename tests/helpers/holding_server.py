"""A server that answers some requests and holds the others for as long as it is let."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Holding(ThreadingHTTPServer):
    """Answers so many requests at once, and holds the next ones after their first word until they are closed."""

    daemon_threads = True

    def __init__(self, answers: int) -> None:
        super().__init__(("127.0.0.1", 0), Held)
        self.answers = answers
        self.lock = threading.Lock()
        self.held = threading.Event()
        self.closed = threading.Event()


class Held(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Holding

    def do_GET(self) -> None:
        self._reply("application/json", b'{"object": "list", "data": [{"id": "m", "object": "model"}]}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.answers -= 1
            hold = self.server.answers < 0
        word = b'data: {"id": "r", "choices": [{"delta": {"content": "a"}, "finish_reason": null}]}\n\n'
        if not hold:
            end = b'data: {"id": "r", "choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
            self._reply("text/event-stream", word + end)
            return
        self._reply("text/event-stream", word, length=1_000_000)
        self.server.held.set()
        if not self.connection.recv(1):
            self.server.closed.set()

    def _reply(self, kind: str, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
