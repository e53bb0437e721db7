"""Passes bytes between the apps of this machine and one server, as they come; what passed goes to a listener."""

import asyncio

from lmx_loadgen.recording.app_connection import AppConnection
from lmx_loadgen.recording.upstream import Passage


class Proxy:
    """Listens on a port of 127.0.0.1."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._opened: set[AppConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listen; the port that was taken, which 0 leaves to the system. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: AppConnection(self._passage, self._opened), "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        """End: answers that are on their way are stored as far as they came."""
        if self._server is not None:
            self._server.close()
        for app in list(self._opened):
            app.close()
        await asyncio.sleep(0)
