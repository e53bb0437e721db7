"""Why something was stopped before its end, as a value: kinds are compared, messages are only shown."""

from dataclasses import dataclass
from typing import Literal

# interrupted: whoever asked for the run wants it to end. errors: too many requests failed. silence: the server sent
# nothing for too long. overload: more requests came than it can serve, which ends the level and not the target. node: a
# machine that measures is gone.
StopKind = Literal["interrupted", "errors", "silence", "overload", "node"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a segment, a target or a run was stopped. `message` is a sentence without its period."""

    kind: StopKind
    message: str

    @property
    def is_interruption(self) -> bool:
        """Whether nothing is wrong with the server: the run was only to end."""
        return self.kind == "interrupted"


INTERRUPTED = Stop("interrupted", "interrupted")
