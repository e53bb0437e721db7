"""The plan's two endpoints."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from lmx_loadgen.service.bench import bench_of
from lmx_loadgen.service.body import benchmark_request
from lmx_loadgen.service.guard import require_admin, require_known_host
from lmx_loadgen.service.messages import MeasureReply, Trouble
from lmx_loadgen.service.request import BenchmarkRequest
from lmx_loadgen.store.result import BenchmarkResult
from lmx_loadgen.system.clock import EARLIEST, moment

_STATUS: dict[Trouble, int] = {
    "model_not_loaded": 409,
    "busy": 409,
    "interrupted": 503,
    "target": 502,
    "request": 422,
    "not_stored": 507,
    "other": 500,
}
_BODY = {"content": {"application/json": {"schema": BenchmarkRequest.model_json_schema()}}, "required": True}


@contextlib.asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    yield
    await anyio.to_thread.run_sync(bench_of(app).close)


router = APIRouter(
    prefix="/admin/benchmark",
    tags=["benchmark"],
    dependencies=[Depends(require_known_host), Depends(require_admin)],
    lifespan=_lifespan,
)


@router.post("/run", response_model=BenchmarkResult, openapi_extra={"requestBody": _BODY})
async def run_benchmark(
    request: Request, asked: Annotated[BenchmarkRequest, Depends(benchmark_request)]
) -> BenchmarkResult | Response:
    """Measure a loaded model as the benchmark plan says, and store the result."""
    reply = await bench_of(request.app).run(asked, request.receive)
    if reply.trouble is None and reply.result is not None:
        return reply.result
    return JSONResponse(_trouble(reply), _STATUS[reply.trouble or "other"])


@router.get("/results", response_model=list[BenchmarkResult])
def list_results(
    request: Request,
    model_id: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> list[BenchmarkResult]:
    """The stored results, newest first."""
    found = bench_of(request.app).store.load_all(model_id)
    found.sort(key=lambda result: moment(result.timestamp) or EARLIEST, reverse=True)
    return found[:limit]


def _trouble(reply: MeasureReply) -> dict[str, Any]:
    """Why there is no answer as asked for; with what was measured, where anything was."""
    partial = {} if reply.result is None else {"result": reply.result.model_dump(mode="json")}
    if reply.trouble == "model_not_loaded":
        return {"detail": "model_not_loaded"}
    if reply.trouble == "busy":
        return {"detail": "benchmark_running", "since": reply.since}
    if reply.trouble == "interrupted":
        return {"detail": "benchmark_interrupted", "reason": reply.words, **partial}
    if reply.trouble == "not_stored":
        return {"detail": "result_not_stored", "reason": reply.words, **partial}
    return {"detail": reply.words, **partial}
