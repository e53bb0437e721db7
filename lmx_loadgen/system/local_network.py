"""macOS's privacy rule for the local network: without leave, a program reaches no other machine in it."""

import sys
from collections.abc import Iterator

_NO_ROUTE = 65  # EHOSTUNREACH on macOS


def privacy_hint(error: BaseException, system: str = sys.platform) -> str:
    """What to add to a sentence about an address that nothing answers at; "" where the rule is not the likely cause."""
    if system != "darwin" or all(one.errno != _NO_ROUTE for one in _os_errors(error)):
        return ""
    return (
        "; macOS may be keeping this program from the local network: allow it in System Settings > Privacy & Security "
        "> Local Network"
    )


def _os_errors(error: BaseException | None) -> Iterator[OSError]:
    """The system's errors that an error was made of."""
    if isinstance(error, OSError):
        yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _os_errors(one)
    if error is not None:
        yield from _os_errors(error.__cause__ or error.__context__)
