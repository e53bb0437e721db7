"""The exception tree. Each error says what is wrong, where, and what to do, and carries its exit code.

    LoadgenError                 1
    ├── InputError               2   a flag or an argument
    ├── ProfileError             3   a profile, prompts or reference file: names file, key and what is allowed
    ├── ResultError              4   a stored run or result that cannot be read
    ├── StorageError             5   the result folder cannot be written
    ├── TargetError
    │   ├── Unreachable         10   nothing answers at the address
    │   ├── WrongServer         11   another server answers there
    │   ├── KeyRefused          12   the key is missing or wrong
    │   ├── ModelNotLoaded      13   no model is loaded, or not the one asked for
    │   └── AmbiguousModel      14   several models are loaded and none was named
    ├── NothingMeasured         20   every request of the run failed
    ├── LimitBroken             30   `compare`: a figure is surely worse than a limit of --fail-on allows
    ├── LimitUndecided          31   `compare`: whether a limit of --fail-on is kept is not settled
    └── NotComparable           32   `compare`: the two sides did not do the same work

Exit code 130 is Ctrl-C, as in every shell.
"""


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


class TargetError(LoadgenError):
    """Something about the server under test that stops the run before it starts."""


class Unreachable(TargetError):
    """Nothing answers at the target's address."""

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


class LimitBroken(LoadgenError):
    """A figure is worse than a limit of `--fail-on` allows, by the whole of its interval."""

    exit_code = 30


class LimitUndecided(LoadgenError):
    """An interval lies on both sides of a limit of `--fail-on`, or drift explains the difference."""

    exit_code = 31


class NotComparable(LoadgenError):
    """The comparison was refused: the two sides did not do the same work."""

    exit_code = 32
