"""The servers that can be measured, by name: each that a file in `servers` declares."""

from importlib import import_module
from pkgutil import iter_modules

from lmx_loadgen.targets import servers
from lmx_loadgen.targets.base import Dialect


def _declared() -> list[Dialect]:
    modules = [import_module(f"{servers.__name__}.{one.name}") for one in iter_modules(servers.__path__)]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Dialect)]


DIALECTS: dict[str, Dialect] = {one.name: one for one in sorted(_declared(), key=lambda one: (one.place, one.name))}
