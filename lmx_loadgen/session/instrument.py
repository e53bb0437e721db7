"""What a run measures with: the event loop, the source of its stamps, and the TLS settings of its connections."""

from importlib.util import find_spec
from typing import Any

from lmx_loadgen.errors import InputError
from lmx_loadgen.load.worker import tls_context
from lmx_loadgen.session.options import Options
from lmx_loadgen.wire.stamps import StampSource, kernel_stamps_available


def instrument(options: Options) -> tuple[str, StampSource]:
    """Event loop and stamps: the finest there are, unless something else was asked for. Raises InputError."""
    has_uvloop = find_spec("uvloop") is not None
    loop = options.loop or ("uvloop" if has_uvloop else "asyncio")
    if loop == "uvloop" and not has_uvloop:
        raise InputError("--loop uvloop: uvloop is not installed; install it, or use --loop asyncio")
    if options.stamps == "kernel" and not kernel_stamps_available():
        raise InputError("--stamps kernel: this system does not stamp TCP data (only Linux does); use --stamps loop")
    if options.stamps is None:
        return loop, StampSource.KERNEL if kernel_stamps_available() else StampSource.LOOP
    return loop, StampSource(options.stamps)


def tls(options: Options) -> Any:
    """What httpx takes as `verify`. Raises InputError for a CA file that cannot be used."""
    if not options.insecure and options.ca_file is None:
        return True
    try:
        return tls_context(not options.insecure, options.ca_file)
    except OSError as error:
        raise InputError(f"--ca-file {options.ca_file}: {error}") from None
