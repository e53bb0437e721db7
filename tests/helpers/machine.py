"""Machines made of answers, for what asks the machine about itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lmx_loadgen.system.probe import Probe


@dataclass(frozen=True)
class Machine(Probe):
    """A machine made of answers."""

    files: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    load: float | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    clocks_mhz: Sequence[float] = ()

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def run(self, command: Sequence[str]) -> str | None:
        return self.commands.get(" ".join(command))

    def clock_ns(self, name: str) -> int | None:
        return None

    def priority(self, which: int) -> int | None:
        return None

    def memory(self) -> Mapping[str, int]:
        return self.held

    def swap_used_bytes(self) -> int | None:
        return None

    def core_mhz(self) -> list[float]:
        return [*self.clocks_mhz]

    def load_average(self) -> float | None:
        return self.load

    def timer_late_s(self) -> float | None:
        return None
