"""The exception tree. Each error says what is wrong, where, and what to do, and carries its exit code.

    LoadgenError                 1
    ├── InputError               2   a flag or an argument
    ├── ProfileError             3   a profile, prompts or reference file: names file, key and what is allowed
    ├── ResultError              4   a stored run or result that cannot be read
    ├── StorageError             5   the result folder cannot be written
    ├── Busy                     6   another lmx-loadgen is measuring on this machine
    ├── NotResumable             7   `run --resume`: the run is complete, or something is not as it was
    ├── FiguresDistorted         8   `doctor`: something on this machine will distort figures
    ├── RunWillFail              9   `doctor`: something on this machine will make a run or a command fail
    ├── TargetError
    │   ├── Unreachable         10   nothing answers at the address
    │   ├── ServerNotStarted    10   a server of --server-cmd did not start, or ended by itself
    │   ├── WrongServer         11   another server answers there
    │   ├── KeyRefused          12   the key is missing or wrong
    │   ├── ModelNotLoaded      13   no model is loaded, or not the one asked for
    │   └── AmbiguousModel      14   several models are loaded and none was named
    ├── NothingMeasured         20   every request of the run failed
    ├── StoppedEarly            21   a level was aborted, for its errors or for the server's silence
    ├── LimitBroken             30   `compare`: a figure is surely worse than a limit of --fail-on allows
    ├── LimitUndecided          31   `compare`: whether a limit of --fail-on is kept is inconclusive
    ├── NotComparable           32   `compare`: the two sides did not do the same work
    ├── NoLoadPasses            40   `capacity`: not even the lightest load keeps the limits
    ├── NoLoadFails             41   `capacity`: the heaviest load that was tried still keeps them
    └── Interrupted            130   Ctrl-C, or whoever asked for the run, before anything was measured

Exit code 130 is Ctrl-C, as in every shell.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic takes longer to import than `--help` may
    from pydantic import ValidationError


class LoadgenError(Exception):
    """Anything the user can be told in one sentence. `str(error)` is that sentence."""

    exit_code = 1


class InputError(LoadgenError):
    """A flag or argument that cannot be used."""

    exit_code = 2


class ProfileError(LoadgenError):
    """A profile, prompts or reference file that cannot be used; the message names file and key."""

    exit_code = 3


class ResultError(LoadgenError):
    """A stored run or result that cannot be read."""

    exit_code = 4


class StorageError(LoadgenError):
    """The results folder cannot be written."""

    exit_code = 5


class Busy(LoadgenError):
    """Another lmx-loadgen is measuring on this machine, `since` then (ISO 8601), if that is known; the message names
    it."""

    exit_code = 6

    def __init__(self, message: str, since: str | None = None) -> None:
        super().__init__(message)
        self.since = since


class NotResumable(LoadgenError):
    """A run that cannot go on: it is complete, or something is not as it was; the message names it."""

    exit_code = 7


class FiguresDistorted(LoadgenError):
    """`doctor` found something that makes figures wrong."""

    exit_code = 8


class RunWillFail(LoadgenError):
    """`doctor` found something that makes a run or a command fail."""

    exit_code = 9


class TargetError(LoadgenError):
    """Something about the server under test that stops the run before it starts."""


class Unreachable(TargetError):
    """Nothing answers at the target's address."""

    exit_code = 10


class ServerNotStarted(TargetError):
    """A server that the tool was to start did not start, or ended by itself."""

    exit_code = 10


class WrongServer(TargetError):
    """Another server than the one named answers at the address."""

    exit_code = 11


class KeyRefused(TargetError):
    """The server asks for a key and got none, or a wrong one."""

    exit_code = 12


class ModelNotLoaded(TargetError):
    """`model_not_loaded`: no model is loaded, or not the one asked for. Nothing is ever loaded silently."""

    exit_code = 13


class AmbiguousModel(TargetError):
    """Several models are loaded and none was named."""

    exit_code = 14


class NothingMeasured(LoadgenError):
    """The run ended without one successful request."""

    exit_code = 20


class StoppedEarly(LoadgenError):
    """A level was stopped by `--max-errors`, `--max-error-rate` or `--no-progress-timeout`."""

    exit_code = 21


class LimitBroken(LoadgenError):
    """A figure is worse than a limit of `--fail-on` allows, by the whole of its interval."""

    exit_code = 30


class LimitUndecided(LoadgenError):
    """An interval lies on both sides of a limit of `--fail-on`, or drift explains the difference."""

    exit_code = 31


class NotComparable(LoadgenError):
    """The comparison was refused: the two sides did not do the same work."""

    exit_code = 32


class NoLoadPasses(LoadgenError):
    """Not even the lightest load of a search keeps the limits."""

    exit_code = 40


class NoLoadFails(LoadgenError):
    """The heaviest load of a search that was tried still keeps the limits."""

    exit_code = 41


class Interrupted(LoadgenError):
    """A run was asked to stop before anything was measured."""

    exit_code = 130


def first_fault(problem: "ValidationError", document: str = "", *, lower: bool = False) -> str:
    """The first thing that is wrong in a document, `key: what`, without any control characters of its own.

    `document` stands for the key where the document itself is at fault; `lower` writes what is wrong in lower case.
    """
    first = problem.errors(include_url=False, include_input=False)[0]
    # Pydantic names the functions that it passed through, and they are no keys of the document.
    key = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-")) or document
    message = first["msg"].lower() if lower else first["msg"]
    words = f"{key}: {message}" if key else message
    return "".join(character if character.isprintable() else "?" for character in words[:300])
