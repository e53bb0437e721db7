"""The benchmark plan's endpoints, for any FastAPI app: `app.include_router(router)`. Needs the extra `serve`.

`require_admin` is the dependency that checks the admin key; an app with its own puts that in its place.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmx_loadgen.service.guard import require_admin
    from lmx_loadgen.service.routes import router

__all__ = ["require_admin", "router"]


def __getattr__(name: str) -> Any:
    """The measuring process imports this room too, and has no use for FastAPI."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from lmx_loadgen.service import guard, routes
    except ModuleNotFoundError as missing:
        if missing.name not in ("fastapi", "starlette"):
            raise
        raise ImportError("the service needs extra packages: pip install 'lmx-loadgen[serve]'") from missing
    return routes.router if name == "router" else guard.require_admin
