"""Work on a thread of its own."""

from contextvars import ContextVar

from lmx_loadgen.system.threads import on_thread_blocking


def test_the_work_has_a_context_of_its_own() -> None:
    """In the caller's, libraries such as sniffio keep which event loop runs in this thread."""
    running: ContextVar[str] = ContextVar("running", default="nothing")
    running.set("asyncio")

    assert on_thread_blocking(running.get, lambda: None) == "nothing"
