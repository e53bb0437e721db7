"""The service of its own: the router in an app of its own, in uvicorn."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from lmx_loadgen.service.bench import bench_of
from lmx_loadgen.service.routes import router
from lmx_loadgen.store.plan_result import BenchmarkResultStore

_GRACE_S = 15


@dataclass(frozen=True)
class ServiceSettings:
    """What the service measures and where it stores it; `hosts` are names by which it may be called."""

    target: str
    results_dir: Path
    hosts: Sequence[str] = ()
    tokenizer: Path | None = None
    no_text: bool = False


def service_app(settings: ServiceSettings) -> FastAPI:
    """The app, without pages of documentation: those load scripts from the network."""
    app = FastAPI(title="lmx-loadgen", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.benchmark_store = BenchmarkResultStore(settings.results_dir)
    app.state.benchmark_target = settings.target
    app.state.benchmark_hosts = tuple(settings.hosts)
    app.state.benchmark_tokenizer = settings.tokenizer
    app.state.benchmark_no_text = settings.no_text
    app.include_router(router)
    return app


class _Server(uvicorn.Server):
    """One that stops the run at hand when it is told to end: else it would wait for it."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(bench_of(self._app).stop, "the service is being stopped")


def serve(app: FastAPI, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, which then has its usual effect on this process."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=_GRACE_S)
    _Server(config, app, on_ready).run(sockets=[listener])
