"""The user's own folders, also of a user who has none."""

import os
import tempfile
from pathlib import Path

import platformdirs

from lmx_loadgen.errors import InputError

LOCK_FOLDER_ENV = "LMX_LOADGEN_LOCK_DIR"
CALIBRATION_FOLDER_ENV = "LMX_LOADGEN_CALIBRATION_DIR"
CONFIG_FOLDER_ENV = "LMX_LOADGEN_CONFIG_DIR"


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


def lock_folder() -> Path:
    """Where this user's lock is: the folder for caches, or `LMX_LOADGEN_LOCK_DIR` (for tests, and for machines whose
    home cannot be written)."""
    return _chosen_or_cache(LOCK_FOLDER_ENV)


def calibration_folder() -> Path:
    """Where this machine's calibrations are: the folder for caches, or `LMX_LOADGEN_CALIBRATION_DIR`."""
    return _chosen_or_cache(CALIBRATION_FOLDER_ENV)


def config_folder() -> Path:
    """Where this user's own targets are: the folder for settings, or `LMX_LOADGEN_CONFIG_DIR`."""
    return _chosen(CONFIG_FOLDER_ENV) or platformdirs.user_config_path("lmx-loadgen", appauthor=False)


def _chosen_or_cache(variable: str) -> Path:
    return _chosen(variable) or platformdirs.user_cache_path("lmx-loadgen", appauthor=False)


def _chosen(variable: str) -> Path | None:
    """The folder that the variable names. Without a home folder that is one of the user's own among the temporary
    files; None where the system's own will do."""
    if chosen := os.environ.get(variable):
        return Path(chosen)
    return Path(tempfile.gettempdir()) / f"lmx-loadgen-{os.getuid()}" if home() is None else None
