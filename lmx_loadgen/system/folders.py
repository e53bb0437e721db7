"""The user's own folders, also of a user who has none."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lmx_loadgen.errors import InputError
from lmx_loadgen.system.probe import Probe

LOCK_FOLDER_ENV = "LMX_LOADGEN_LOCK_DIR"


def home() -> Path | None:
    """The home folder; None for a user that the system does not know, with no HOME set, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def expanded(path: Path) -> Path:
    """The path with `~` replaced. Raises InputError where there is no home folder to put there."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(f"{path}: the home folder is unknown; set HOME, or give the whole path") from None


def lock_folder(probe: Probe | None = None, env: Mapping[str, str] = os.environ, user_home: Path | None = None) -> Path:
    """Where this user's lock is: the folder for caches, or `LMX_LOADGEN_LOCK_DIR` (for tests, and for machines whose
    home cannot be written). Without a home folder it is one of the user's own in that for temporary files."""
    if chosen := env.get(LOCK_FOLDER_ENV):
        return Path(chosen)
    user_home = user_home or home()
    if user_home is None:
        return Path(tempfile.gettempdir()) / f"lmx-loadgen-{os.getuid()}"
    if (probe or Probe()).system == "darwin":
        return user_home / "Library" / "Caches" / "lmx-loadgen"
    return Path(env.get("XDG_CACHE_HOME") or user_home / ".cache") / "lmx-loadgen"
