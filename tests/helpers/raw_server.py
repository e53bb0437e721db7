"""A server that does with each connection whatever it is told to, below HTTP."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behavior = Callable[[socket.socket, threading.Event], None]


@contextmanager
def raw_server(behave: Behavior, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that gives each connection to `behave` in a thread of its own, with an event that is set
    when the `with` block ends."""
    over = threading.Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen(64)

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                behave(connection, over)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()


def request_of(connection: socket.socket) -> bytes:
    """The head of one request."""
    head = b""
    while b"\r\n\r\n" not in head and (piece := connection.recv(65_536)):
        head += piece
    return head


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Takes the connection, and says nothing."""
    over.wait()


def endless_headers(connection: socket.socket, over: threading.Event) -> None:
    """One header after the other, as fast as they are taken."""
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")


def dripping(connection: socket.socket, over: threading.Event) -> None:
    """A body that never ends, a byte at a time."""
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while not over.wait(0.05):
        connection.sendall(b" ")


def saying(body: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK") -> Behavior:
    """The same body for whatever is asked."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        while request_of(connection):
            head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
            connection.sendall(head + body)

    return behave
