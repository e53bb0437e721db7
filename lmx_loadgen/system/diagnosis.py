"""One thing that was looked at on this machine, and what it was looked at by."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "note", "unknown", "distorts", "fails"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at. `distorts`: figures will be wrong; `fails`: a run or a command will fail; `note`:
    good to know; `unknown`: the system did not tell."""

    check: str
    status: Status
    finding: str
    fix: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine said: lasting `facts`, its `state` now, and its state a moment before."""

    facts: Mapping[str, Any]
    before: Mapping[str, Any]
    state: Mapping[str, Any]


def not_told(check: str, what: str) -> Diagnosis:
    return Diagnosis(check, "unknown", f"the system does not tell {what}")
