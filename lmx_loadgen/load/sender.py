"""One request on one connection."""

import asyncio

import httpx

from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedStream, StampedTransport


def build(url: httpx.URL | str, headers: httpx.Headers | None, body: bytes, limits: Limits) -> httpx.Request:
    """The whole request, made before its clock starts; its trace is in `extensions["trace"]`.

    Parsing an address costs more than all the rest: whoever sends many requests passes an `httpx.URL`.
    """
    return httpx.Request(
        "POST", url, headers=headers, content=body, extensions={"trace": RequestTiming(), "limits": limits}
    )


async def perform(transport: StampedTransport, request: httpx.Request) -> RequestTiming:
    """Send the request and take in the whole answer. Failures are in the trace, not raised.

    When cancelled, the connection is closed, the trace says `cancelled`, and the cancellation goes on.
    """
    timing: RequestTiming = request.extensions["trace"]
    try:
        response = await transport.handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, StampedStream)
        try:
            await stream.wait()
        except asyncio.CancelledError:
            await stream.aclose()
            raise
    except httpx.TransportError:
        assert timing.failure is not None
    return timing
