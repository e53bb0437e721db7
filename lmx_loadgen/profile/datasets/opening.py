"""What keeps a file from being read, as one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmx_loadgen.errors import ProfileError


@contextmanager
def readable(path: Path, what: str) -> Iterator[os.stat_result]:
    """Around the reading of a file that is called `what`: its size and time. Raises ProfileError for a path that is
    none, a file that cannot be read, and text that is not UTF-8."""
    try:
        known = path.stat()
    except OSError as error:
        raise _unreadable(path, what, error) from None
    except ValueError:
        raise ProfileError(f"the {what} {str(path)!r} is not a path: it holds a NUL character") from None
    try:
        yield known
    except OSError as error:
        raise _unreadable(path, what, error) from None
    except UnicodeDecodeError:
        raise ProfileError(f"the {what} {path} is not UTF-8 text") from None


def _unreadable(path: Path, what: str, error: OSError) -> ProfileError:
    return ProfileError(f"cannot read the {what} {path}: {error.strerror or error}")
