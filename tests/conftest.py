"""Fixtures for every room, and what holds after every test."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.system import folders


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first: of several workers none is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of 127.0.0.1 that nothing listens on, and that nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests fight with no other run on this machine over the lock, and leave the user's cache and settings
    alone."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in (folders.LOCK_FOLDER_ENV, folders.CALIBRATION_FOLDER_ENV, folders.CONFIG_FOLDER_ENV):
            patch.setenv(variable, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def recompute_gives_what_is_stored(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever run a test made: its result is what its event log gives, byte for byte."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None and request.node.get_closest_marker("edits_runs") is None:
        for path in folder.rglob("result.json"):
            check_recomputed(path)


@pytest.fixture(scope="session", autouse=True)
def recompute_gives_what_is_stored_in_shared_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same for runs of fixtures that several tests share."""
    yield
    for path in tmp_path_factory.getbasetemp().glob("*/**/result.json"):
        if not path.relative_to(tmp_path_factory.getbasetemp()).parts[0].startswith("test_"):
            check_recomputed(path)


def check_recomputed(path: Path) -> None:
    """A stored result of this version equals the one that its event log gives; one of no version is a test's own."""
    from lmx_loadgen import __version__
    from lmx_loadgen.analysis.metrics import VERSION
    from lmx_loadgen.analysis.summary import summarize
    from lmx_loadgen.errors import ResultError
    from lmx_loadgen.store.result import as_bytes, read_result

    log = path.with_name("events.jsonl")
    try:
        stored = read_result(path.parent) if log.is_file() else None
    except ResultError:
        return
    if stored is not None and (stored.metrics_version, stored.tool.computed_by) == (VERSION, __version__):
        assert as_bytes(summarize(read_run(log))) == path.read_bytes(), f"{path} is not what its event log gives"
