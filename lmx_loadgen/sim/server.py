"""The server itself: a listening socket, a loop, and a clean end."""

import asyncio
import gc
import os
import signal
import socket
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass

from lmx_loadgen.errors import InputError
from lmx_loadgen.sim.app import App
from lmx_loadgen.sim.connection import Connection, use_kernel_stamps
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.system import open_files
from lmx_loadgen.system.sockets import BACKLOG, send_at_once


@dataclass(frozen=True, slots=True)
class Listening:
    """What a simulator says of itself once it listens."""

    url: str
    host: str
    port: int
    pid: int
    stamps: str  # "kernel" or "loop": where receive times come from
    loop: str


def serve(
    settings: SimSettings, on_ready: Callable[[Listening], None] | None = None, control: int | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, then flush the log and return.

    `on_ready` is called once the port is open. `control` is a file descriptor to listen to: at its end of file the
    server ends too, and the line `flush` makes it flush the log and print FLUSHED. Raises InputError when the
    address cannot be used, StorageError when the log cannot be written.
    """
    open_files.raise_limit()
    listener = _listen(settings)
    loop, loop_name = _new_loop(settings.loop)
    try:
        app = App(settings, loop, token=os.urandom(4).hex())
        app.state.port = listener.getsockname()[1]
        connections: set[Connection] = set()
        stamps = "kernel" if use_kernel_stamps(listener) else "loop"
        loop.add_reader(listener.fileno(), _accept, loop, listener, app, connections)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, loop.stop)
        if control is not None:
            loop.add_reader(control, _obey, loop, control, app)
        # What was imported lives to the end; the rest is freed by reference counts, and collected when nothing runs.
        gc.collect()
        gc.freeze()
        gc.disable()
        if on_ready is not None:
            on_ready(_ready(settings, app.state.port, stamps, loop_name))
        loop.run_forever()
        loop.remove_reader(listener.fileno())
        app.stop()
        for connection in list(connections):
            connection.close()
    finally:
        listener.close()
        loop.close()
        gc.enable()
        gc.unfreeze()


def _ready(settings: SimSettings, port: int, stamps: str, loop_name: str) -> Listening:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return Listening(f"http://{host}:{port}", settings.host, port, os.getpid(), stamps, loop_name)


def _listen(settings: SimSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the simulator cannot listen on {settings.host}:{settings.port}: {why}") from None
    return listener


def _new_loop(wanted: str) -> tuple[AbstractEventLoop, str]:
    if wanted != "asyncio" and sys.platform != "win32":
        try:
            import uvloop

            return uvloop.new_event_loop(), "uvloop"
        except ImportError:
            if wanted == "uvloop":
                raise InputError("the simulator cannot use uvloop: it is not installed") from None
    return asyncio.new_event_loop(), "asyncio"


def _accept(loop: AbstractEventLoop, listener: socket.socket, app: App, connections: set[Connection]) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:  # none left, or no file left for it
            return
        sock.setblocking(False)
        try:
            send_at_once(sock)
        except OSError:  # the client has gone already
            continue
        connections.add(Connection(loop, sock, app.handle, connections.discard))


def _obey(loop: AbstractEventLoop, control: int, app: App) -> None:
    said = os.read(control, 4096)
    if not said:  # the parent has gone
        loop.stop()
    elif b"flush" in said:
        # After what else is ready now: a client that left before the parent asked is then in the log.
        loop.call_soon(_flush, app)


def _flush(app: App) -> None:
    app.log.flush()
    print("FLUSHED", flush=True)
