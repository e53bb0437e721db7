"""What a request leaves in memory once it is over, whichever way it ended."""

import asyncio
import gc

import pytest

from lmx_loadgen.load.sender import build, perform
from lmx_loadgen.wire.response import ResponseReader
from lmx_loadgen.wire.timing import Limits
from lmx_loadgen.wire.transport import StampedTransport
from tests.helpers.scripted import CLOSE, HANG, HEAD, RESET, chunked, delta, serving

SOON = Limits(connect=5, first_token=5, gap=0.05, request=5)
ENDS = {
    "answered": [HEAD, chunked(delta("a"))],
    "reset": [HEAD, chunked(delta("a"), end=False), RESET],
    "closed": [CLOSE],
    "not HTTP": [b"nonsense\r\n\r\n", CLOSE],
    "silent": [HEAD, chunked(delta("a"), end=False), HANG],
}


@pytest.mark.parametrize("end", list(ENDS))
def test_a_request_that_is_over_leaves_nothing_behind(end, stamps, on_loop):
    """The garbage collector is off while a level is measured: what refers to itself would stay until its end."""
    seen = []

    async def ask():
        async with serving(ENDS[end]) as server:
            transport = StampedTransport(stamps=stamps)
            await perform(transport, build(server.url, None, b"{}", SOON))
            await transport.aclose()

    async def work():
        gc.freeze()  # what is there already is looked at no more: it is a million things
        gc.disable()
        try:
            for _ in range(3):
                await ask()
            await asyncio.sleep(0)
            seen.append(sum(isinstance(thing, ResponseReader) for thing in gc.get_objects()))
        finally:
            gc.enable()
            gc.unfreeze()

    on_loop(work())

    assert seen == [0]
