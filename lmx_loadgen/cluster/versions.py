"""Whether all nodes of a cluster measure with the same tool."""

import platform
from collections.abc import Mapping

from lmx_loadgen import __version__
from lmx_loadgen.cluster.facts import NodeFacts
from lmx_loadgen.errors import InputError


def check_versions(nodes: Mapping[str, NodeFacts]) -> None:
    """Raises InputError for the first node, by its label, whose version of lmx-loadgen or of Python is not this
    machine's: what one writes the other could read wrongly, and their figures would not be of one instrument."""
    for label, facts in nodes.items():
        for what, there, here in (
            ("lmx-loadgen", facts.tool_version, __version__),
            ("Python", _minor(facts.python), _minor(platform.python_version())),
        ):
            if there != here:
                raise InputError(
                    f"{label} has {what} {there}, and this machine has {here}: install the same version on all nodes, "
                    "and start Ray on them again"
                )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
