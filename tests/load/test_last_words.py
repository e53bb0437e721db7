"""What is said of a measuring process that died: its exception's own words."""

import contextlib
import subprocess
import sys

import pytest

from lmx_loadgen.load import driver
from lmx_loadgen.load.driver import WorkerDied, WorkerProcess, last_words
from lmx_loadgen.wire.stamps import StampSource

IN_A_GROUP = """
import anyio

async def failing():
    raise {error}

async def main():
    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as inner:
            inner.start_soon(failing)

anyio.run(main)
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("raise ValueError('one thing\\nand another')", "ValueError: one thing and another"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        (IN_A_GROUP.format(error="OSError(24, 'Too many open files')"), "OSError: [Errno 24] Too many open files"),
        (IN_A_GROUP.format(error="RuntimeError('one\\ntwo')"), "RuntimeError: one two"),
        ("import sys; sys.exit('it is not to be')", "it is not to be"),
        ("import sys; print('first', 'second', sep='\\n', file=sys.stderr)", "second"),
        ("pass", ""),
    ],
    ids=["exception", "two lines", "no words", "group", "two lines in a group", "exit", "no traceback", "silent"],
)
def test_last_words_are_the_exceptions_own(code: str, words: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert last_words(done.stderr) == words


def test_a_worker_that_dies_in_a_task_group_is_reported_with_its_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "WORKER", "tests.helpers.dying_worker")
    worker = WorkerProcess("asyncio", StampSource.LOOP)
    said = r"exit code 1\): OSError: \[Errno 24\] Too many open files$"
    with contextlib.closing(worker), pytest.raises(WorkerDied, match=said):
        _read_to_the_end(worker)


def _read_to_the_end(worker: WorkerProcess) -> None:
    while True:
        list(worker.read())
