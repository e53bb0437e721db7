"""Writing that survives a power cut."""

import fcntl
import os
from pathlib import Path

from lmx_loadgen.errors import StorageError

_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def flush_to_disk(fd: int) -> None:
    """Return once what was written to `fd` is on the disk itself. Raises OSError.

    On macOS `fsync` leaves it in the drive's cache; file systems that know nothing better have to do with it.
    """
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, _FULL_SYNC)
        except OSError:
            pass
        else:
            return
    os.fsync(fd)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are not there yet. Raises StorageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {folder}: {error.strerror or error}") from None
