"""The worker's end of the two pipes between it and its parent."""

import asyncio
import os
import pickle
import sys
from typing import Any

import anyio

from lmx_loadgen.load.messages import HEADER, packed


class Parent:
    """The two pipes to the parent, as messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def attach(cls, out_fd: int) -> "Parent":
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**30)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
        pipe = os.fdopen(out_fd, "wb", buffering=0)
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
        return cls(reader, writer)

    async def receive(self) -> Any:
        """The next message, or None when the parent is gone."""
        try:
            (size,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            return pickle.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def send(self, message: Any) -> None:
        self._writer.write(packed(message))

    async def drained(self) -> None:
        """Wait until everything sent has left this process."""
        while self._writer.get_write_buffer_size() and not self._writer.is_closing():  # noqa: ASYNC110
            await anyio.sleep(0.001)
