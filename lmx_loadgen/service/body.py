"""The body of a request: JSON and nothing else, of bounded size, within bounded time."""

from typing import Any

import anyio
import pydantic_core
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from lmx_loadgen.service.request import BenchmarkRequest

MOST_BYTES = 2 * 1024 * 1024
WITHIN_S = 10.0
# Nobody reads the rest of a body that is refused, so its connection ends.
_CLOSE = {"Connection": "close"}


async def benchmark_request(request: Request) -> BenchmarkRequest:
    """What the body asks for. A fault in it is answered as FastAPI does."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the body must be application/json", _CLOSE)
    body = await _bounded(request)
    if not body:
        raise _invalid({"type": "missing", "loc": (), "msg": "Field required", "input": None})
    try:
        data = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as fault:
        words = {"error": str(fault)}
        raise _invalid(
            {"type": "json_invalid", "loc": (), "msg": "JSON decode error", "input": {}, "ctx": words}
        ) from None
    try:
        return BenchmarkRequest.model_validate(data)
    except ValidationError as faults:
        raise _invalid(*faults.errors(include_url=False)) from None


async def _bounded(request: Request) -> bytes:
    too_large = HTTPException(413, f"the body is larger than {MOST_BYTES >> 20} MB", _CLOSE)
    stated = request.headers.get("content-length", "0")
    if not stated.isascii() or not stated.isdigit() or int(stated[:20]) > MOST_BYTES:
        raise too_large
    body = bytearray()
    try:
        with anyio.fail_after(WITHIN_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {WITHIN_S:g} s", _CLOSE) from None
    return bytes(body)


def _invalid(*faults: Any) -> RequestValidationError:
    return RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults])
