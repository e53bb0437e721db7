"""A client that hides nothing: one request on a blocking socket, and every byte that came back."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 15.0


@dataclass
class Seen:
    """What came back: the raw bytes, each read, how the connection ended, and what HTTP says of it."""

    raw: bytes
    reads: list[bytes]
    end: str  # eof | reset | left (we closed, having seen enough)
    status: int | None = None
    version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)  # HTTP chunks; one for other bodies
    body: bytes = b""
    framing: str = ""  # whole | cut | bad

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """SSE data: JSON decoded, or the text as it is. Comments are left out."""
        return [event for chunk in events_by_chunk([self.body]) for event in chunk]

    @property
    def text(self) -> str:
        return "".join(text_of(event) for event in self.events)

    @property
    def response_id(self) -> str:
        return next(event["id"] for event in self.events if isinstance(event, dict) and "id" in event)


def text_of(event: Any) -> str:
    """The text of a chat or completions chunk."""
    choices = event.get("choices") if isinstance(event, dict) else None
    if not choices:
        return ""
    choice = choices[0]
    return choice.get("text") or choice.get("delta", {}).get("content") or ""


def events_by_chunk(chunks: list[bytes]) -> list[list[Any]]:
    """The data of the SSE events in each HTTP chunk."""
    found = []
    for chunk in chunks:
        inside = []
        for block in chunk.replace(b"\r\n", b"\n").split(b"\n\n"):
            data = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
            if data:
                inside.append(_decoded(b"\n".join(data)))
        found.append(inside)
    return found


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def parse(raw: bytes, reads: list[bytes], end: str) -> Seen:
    """Read a whole response strictly; whatever is no HTTP leaves `status` None."""
    seen = Seen(raw, reads, end)
    head, blank, body = raw.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 1"):
        head, blank, body = body.partition(b"\r\n\r\n")
    if not blank or not head.startswith(b"HTTP/"):
        return seen
    first, *lines = head.decode("latin-1").split("\r\n")
    seen.version, status = first.split(" ")[:2]
    seen.status = int(status)
    seen.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if seen.headers.get("transfer-encoding") == "chunked":
        seen.chunks, seen.framing = _chunks(body)
    else:
        length = seen.headers.get("content-length")
        seen.chunks = [body]
        seen.framing = "whole" if length is None or int(length) == len(body) else "cut"
    seen.body = b"".join(seen.chunks)
    return seen


def _chunks(body: bytes) -> tuple[list[bytes], str]:
    chunks: list[bytes] = []
    at = 0
    while (line_end := body.find(b"\r\n", at)) >= 0:
        try:
            size = int(body[at:line_end], 16)
        except ValueError:
            return chunks, "bad"
        at, end = line_end + 2, line_end + 2 + size
        if len(body) < end + 2:
            return [*chunks, body[at:]], "cut"
        if body[end : end + 2] != b"\r\n":
            return chunks, "bad"
        if size == 0:
            return chunks, "whole"
        chunks.append(body[at:end])
        at = end + 2
    return chunks, "cut"


def chat_body(**fields: Any) -> dict[str, Any]:
    """A small streamed chat request."""
    base = {"model": "sim-model", "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 6}
    return base | {"stream": True} | fields


def request_bytes(method: str, path: str, body: Any, headers: dict[str, str]) -> bytes:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: sim", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in ({"Connection": "close"} | headers).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@contextmanager
def held_slot(port: int) -> Iterator[None]:
    """A request that has begun to answer and then holds its slot until the block ends."""
    orders = {"ttft_ms": 0, "fault": "stall_mid", "after": 1, "seconds": 600}
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as sock:
        sock.sendall(request_bytes("POST", "/v1/chat/completions", chat_body(sim=orders), {}))
        seen = b""
        while b"content" not in seen.partition(b"\r\n\r\n")[2]:
            seen += sock.recv(65536)
        yield


def ask(
    port: int,
    body: Any = None,
    path: str = "/v1/chat/completions",
    method: str | None = None,
    headers: dict[str, str] | None = None,
    enough: int | None = None,
) -> Seen:
    """One request on a connection of its own, read to its end, or until `enough` bytes have come."""
    wanted = method or ("GET" if body is None else "POST")
    reads: list[bytes] = []
    end = "eof"
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as sock:
        sock.sendall(request_bytes(wanted, path, body, headers or {}))
        try:
            while data := sock.recv(1 << 20):
                reads.append(data)
                if enough is not None and sum(map(len, reads)) >= enough:
                    end = "left"
                    break
        except ConnectionResetError:
            end = "reset"
    return parse(b"".join(reads), reads, end)
