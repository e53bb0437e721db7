"""Machines made of answers, for what asks the machine about itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lmx_loadgen.system import host


@dataclass(frozen=True)
class Machine(host.Probe):
    """A machine made of answers."""

    files: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def run(self, command: Sequence[str]) -> str | None:
        return self.commands.get(" ".join(command))
