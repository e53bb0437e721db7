"""What is put aside while a run is analyzed: in memory as long as it is little, else in a temporary file."""

import tempfile
import threading
import weakref

from lmx_loadgen.errors import StorageError

_IN_MEMORY = 2**20


class Spool:
    """Pieces of bytes, each read again by where it was put. The file has no name and is gone with the process.

    Raises StorageError where the disk of temporary files takes no more.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed with this object
        self._end = 0
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def put(self, piece: bytes) -> tuple[int, int]:
        """Where the piece stands, and its length."""
        try:
            with self._lock:
                place = self._end, len(piece)
                self._file.seek(self._end)
                self._file.write(piece)
                self._end += len(piece)
        except OSError as error:
            raise StorageError(
                f"cannot put aside what is analyzed in {tempfile.gettempdir()}: {error.strerror or error}; set TMPDIR "
                "to a folder on a disk with more room"
            ) from None
        return place

    def get(self, at: int, length: int) -> bytes:
        """A piece that was put."""
        with self._lock:
            self._file.seek(at)
            return self._file.read(length)
