"""What a node says of itself before it measures."""

import platform
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lmx_loadgen import __version__
from lmx_loadgen.system import host, open_files
from lmx_loadgen.wire.stamps import kernel_stamps_available


@dataclass(frozen=True)
class NodeFacts:
    """The machine, the versions that measure on it, and what they can do there."""

    tool_version: str
    python: str
    host: dict[str, Any]
    versions: dict[str, str]
    has_uvloop: bool
    has_kernel_stamps: bool
    most_connections: int

    @property
    def machine_id(self) -> str:
        return str(self.host["machine_id"])


def facts_here() -> NodeFacts:
    """Those of the machine that this is called on."""
    return NodeFacts(
        tool_version=__version__,
        python=platform.python_version(),
        host=host.facts(),
        versions=host.versions(),
        has_uvloop=find_spec("uvloop") is not None,
        has_kernel_stamps=kernel_stamps_available(),
        most_connections=open_files.most_connections(),
    )
