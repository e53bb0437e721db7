"""Finds the files that travel with the package: `profiles/` and `reference/`, from a checkout or from a wheel."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def folder(name: str, package: Path = _HERE) -> Path:
    """The folder `name` ("profiles" or "reference"): inside an installed package, else beside it in a checkout."""
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
