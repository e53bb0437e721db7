"""Fixtures for every room."""

import socket

import pytest


@pytest.fixture
def unused_port() -> int:
    """A port of 127.0.0.1 that nothing listens on (held by nobody, so in theory another process may take it)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
