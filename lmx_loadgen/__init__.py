"""Measures local LLM servers from the outside: time to first token and tokens per second, truthfully.

    run = lmx_loadgen.run("lmx", "ollama", concurrency=[1, 4], requests=20)
    run.levels(), run.requests(), run.comparison(), run.save_page("page.html")

See `reference/python.md`. Everything is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmx_loadgen.api.measure import arun, run
    from lmx_loadgen.api.runs import Run, compare, load_run
    from lmx_loadgen.errors import LoadgenError

__version__ = "0.1.0"
__all__ = ["LoadgenError", "Run", "__version__", "arun", "compare", "load_run", "run"]

_PLACES = {
    "run": "api.measure",
    "arun": "api.measure",
    "Run": "api.runs",
    "load_run": "api.runs",
    "compare": "api.runs",
    "LoadgenError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
