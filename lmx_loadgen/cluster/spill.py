"""Requests that have ended, kept on the machine that measured them until their segment has ended.

They are in a file that has no name, so nobody else can open it, and that is gone with its process, whatever ends that.
"""

import os
import tempfile
from typing import Any

from lmx_loadgen.load.messages import packed


class Spill:
    """The file on the node. One thread writes, others may read what was written."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`
        self.size = 0

    def begin(self) -> None:
        """Forget what was kept."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0

    def keep(self, message: Any) -> None:
        """Raises OSError, as where the disk is full."""
        data = memoryview(packed(message))
        while data:
            written = self._file.write(data)
            self.size += written
            data = data[written:]

    def piece(self, start: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, start)

    def close(self) -> None:
        self._file.close()
