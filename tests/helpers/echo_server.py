"""A server that says back what it is asked, wherever a server may: in answers, thoughts, calls, counts and errors."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ERROR_EVERY = 5


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    word = ""
    asked = 0

    def do_GET(self) -> None:
        self._reply(200, {"object": "list", "data": [{"id": "echo-model", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = json.dumps(body.get("messages", body), ensure_ascii=False)
        type(self).asked += 1
        if "tools" not in body and type(self).asked % _ERROR_EVERY == 0:
            self._reply(400, {"error": {"message": f"no answer to {said}"}})
        elif not body.get("stream"):
            self._reply(200, {"choices": [{"message": {"content": f"{said} {self.word}"}, "finish_reason": "stop"}]})
        else:
            self._stream([*self._deltas(body, said)])

    def _deltas(self, body: dict[str, Any], said: str) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": ""}
        yield {"reasoning_content": f"They ask {said}, {self.word}."}
        for piece in f"You said {said}, and I say {self.word} .".split(" "):
            yield {"content": f" {piece}"}
        for tool in body.get("tools", []):
            arguments = json.dumps({"location": self.word})
            yield {"tool_calls": [{"index": 0, "function": {"name": tool["function"]["name"], "arguments": arguments}}]}

    def _stream(self, deltas: list[dict[str, Any]]) -> None:
        chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        counts = {"prompt_tokens": 30, "completion_tokens": len(deltas), "note": self.word}
        chunks.append({"choices": [], "usage": counts, "timings": {"prompt_ms": 1.0, "cached": self.word}})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for data in (*map(json.dumps, chunks), "[DONE]"):
            event = f"data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def _reply(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def echo_server(word: str) -> Iterator[str]:
    """The address of such a server, which adds `word` to all it says and refuses every fifth request."""
    handler = type("Echo", (_Echo,), {"word": word})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
