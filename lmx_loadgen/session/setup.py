"""Everything that has to be there before the first request: servers with their models, the instrument, expectations."""

import contextlib
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import anyio

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.session.options import Options
from lmx_loadgen.store.result import Hypothesis
from lmx_loadgen.system import host, package_data
from lmx_loadgen.system.api_keys import without_keys
from lmx_loadgen.targets.base import Target
from lmx_loadgen.targets.prepare import dialect_of, key_variables, prepare
from lmx_loadgen.wire.stamps import StampSource, kernel_stamps_available
from lmx_loadgen.wire.tls import tls_context


def prepare_targets(profile: Profile, options: Options, stack: contextlib.ExitStack) -> list[Target]:
    """Find every target and its model; simulators that are asked for without an address are started, and end with
    `stack`."""
    verify = tls(options)

    async def all_of_them() -> list[Target]:
        return [
            await prepare(spec, os.environ, url=_sim_url(profile, spec, stack), verify=verify, may_load=options.isolate)
            for spec in profile.targets
        ]

    return anyio.run(all_of_them)


def tls(options: Options) -> ssl.SSLContext:
    """Whom this run trusts over TLS. Raises InputError for a CA file that cannot be used."""
    try:
        return tls_context(not options.insecure, options.ca_file)
    except OSError as error:
        raise InputError(f"--ca-file {options.ca_file}: {error}") from None


def _sim_url(profile: Profile, spec: TargetSpec, stack: contextlib.ExitStack) -> str | None:
    if spec.url is not None or dialect_of(spec).name != "sim":
        return None
    from lmx_loadgen.sim.presets import DEMO
    from lmx_loadgen.sim.process import start

    environment = without_keys(os.environ, key_variables(profile.targets))
    return stack.enter_context(start(DEMO, environment)).base_url


def instrument(options: Options) -> tuple[str, StampSource]:
    """Event loop and stamps: the finest there are, unless something else was asked for."""
    loop = options.loop or ("uvloop" if _has_uvloop() else "asyncio")
    if loop == "uvloop" and not _has_uvloop():
        raise InputError("--loop uvloop: uvloop is not installed; install it, or use --loop asyncio")
    if options.stamps == "kernel" and not kernel_stamps_available():
        raise InputError("--stamps kernel: this system does not stamp TCP data (only Linux does); use --stamps loop")
    if options.stamps is None:
        return loop, StampSource.KERNEL if kernel_stamps_available() else StampSource.LOOP
    return loop, StampSource(options.stamps)


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None


def expected(targets: Sequence[Target], path: Path | None) -> dict[str, Hypothesis]:
    """What is expected of each target, by its name. Raises ProfileError for a reference file that cannot be used."""
    from lmx_loadgen.analysis.hypothesis import hypothesis
    from lmx_loadgen.store import reference

    folder, chip = package_data.folder("reference"), host.chip()
    known = reference.read_reference(path or folder / reference.NAME)
    bandwidths = reference.read_bandwidths(folder / reference.CHIPS)
    return {
        target.name: hypothesis(
            known,
            bandwidths,
            model=target.model,
            quantization=target.server.get("quantization"),
            server=reference.SERVER_OF.get(target.dialect.name),
            chip=chip,
        )
        for target in targets
        if target.dialect.name != "sim"
    }
