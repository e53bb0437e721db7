"""A Mac made of recorded outputs: tests/data/macos, whose first lines say where each comes from."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lmx_loadgen.system import macos, macos_profiler, macos_state, network_limits, sleep_settings
from lmx_loadgen.system.probe import Probe

RECORDED = Path(__file__).parents[1] / "data" / "macos"


def recorded(name: str) -> str:
    """What a command printed, as `Probe.run` hands it over: without the line on its origin."""
    return (RECORDED / f"{name}.txt").read_text().partition("\n")[2].strip()


@dataclass(frozen=True)
class Mac(Probe):
    """`said` is what each command prints, by its name in `COMMANDS` (`uuid` for the platform's); others fail."""

    system: str = "darwin"
    arch: str = "arm64"
    said: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, int] = field(default_factory=dict)
    own_priority: int | None = None
    late_s: float | None = None
    load: float | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    swapped: int | None = None
    asked: list[Sequence[str]] = field(default_factory=list)
    started: list[Sequence[str]] = field(default_factory=list)
    free: int | None = 2**40

    def run(self, command: Sequence[str]) -> str | None:
        self.asked.append(command)
        named = {
            **macos.COMMANDS,
            **macos_profiler.COMMANDS,
            **macos_state.COMMANDS,
            **sleep_settings.COMMANDS,
            **network_limits.COMMANDS,
            "uuid": macos.UUID_COMMAND,
        }
        return next((self.said.get(name) for name, one in named.items() if one == command), None)

    def start(self, command: Sequence[str]) -> "subprocess.Popen[bytes] | None":
        self.started.append(command)
        return super().start(["/bin/sleep", "60"])

    def read(self, path: str) -> str | None:
        return None

    def free_bytes(self, path: Path) -> int | None:
        return self.free

    def clock_ns(self, name: str) -> int | None:
        return self.clocks.get(name)

    def priority(self, which: int) -> int | None:
        return self.own_priority

    def memory(self) -> Mapping[str, int]:
        return self.held

    def swap_used_bytes(self) -> int | None:
        return self.swapped

    def load_average(self) -> float | None:
        return self.load

    def timer_late_s(self) -> float | None:
        return self.late_s
