"""Work on a thread of its own, ended in good order by whoever waits for it."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

import anyio

T = TypeVar("T")


async def on_thread(work: Callable[[], T], end_soon: Callable[[], object]) -> T:
    """Do the work on a thread and wait for it, under an asyncio loop. When cancelled, `end_soon` is called, the work's
    end is waited for all the same, and then the cancellation goes on."""
    running = asyncio.wrap_future(_started(work))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            # A cancelled scope of anyio would cancel the wait again and again.
            with anyio.CancelScope(shield=cancelled is not None):
                await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
            end_soon()
    if cancelled is not None:
        running.exception()  # nobody else will ask for it
        raise cancelled
    return running.result()


def on_thread_blocking(work: Callable[[], T], end_soon: Callable[[], object]) -> T:
    """The same for a caller that blocks. An exception in the wait (Ctrl-C) takes the place of the cancellation."""
    running = _started(work)
    try:
        wait([running])
    except BaseException:
        end_soon()
        wait([running])
        raise
    return running.result()


def _started(work: Callable[[], T]) -> "Future[T]":
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def go() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=go, name="lmx-loadgen").start()
    return future
