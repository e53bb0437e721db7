"""What a test with a real server needs, and what becomes of it where that is not there."""

import os
from importlib.util import find_spec

import pytest


def need_package(package: str, user: str, remedy: str) -> None:
    """Give the test up where `user` needs a package that is not installed; `remedy` is the command that installs it."""
    if find_spec(package) is None:
        give_up(f"{user} needs {package}: {remedy}")


def give_up(reason: str) -> None:
    """Skip the test; on CI, where nothing may be skipped, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
