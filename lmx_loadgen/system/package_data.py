"""Finds the files that travel with the package: `profiles/` and `reference/`, from a checkout or from a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: str, package: Path = _PACKAGE) -> Path:
    """The folder `name` ("profiles" or "reference"): inside an installed package, else beside it in a checkout."""
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name


def servers(package: Path = _PACKAGE) -> list[str]:
    """The names of the servers that `targets` knows, without importing them."""
    files = (package / "targets" / "servers").glob("[a-z]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)
