"""Everything that has to be there before the first request: servers with their models, the instrument, expectations."""

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx

from lmx_loadgen.errors import InputError, LoadgenError
from lmx_loadgen.load.worker import tls_context
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.session.options import Options
from lmx_loadgen.store.result import Hypothesis
from lmx_loadgen.system import host, package_data
from lmx_loadgen.system.api_keys import without_keys
from lmx_loadgen.targets.address import dialect_of
from lmx_loadgen.targets.base import Target
from lmx_loadgen.targets.keys import key_variables
from lmx_loadgen.targets.prepare import Access, prepare
from lmx_loadgen.targets.probe import adapted
from lmx_loadgen.wire.stamps import StampSource, kernel_stamps_available


def prepare_targets(profile: Profile, options: Options, stack: contextlib.ExitStack) -> list[Target]:
    """Find every target and its model; simulators that are asked for without an address are started, and end with
    `stack`. Raises the TargetError or InputError of the one that is wrong; of several, the first's kind, with the words
    of all."""
    access = Access(
        env=os.environ,
        home=_home(),
        verify=tls(options),
        needs_admin=options.isolate,
        allow_plain_http=options.allow_plain_http,
    )

    async def all_of_them() -> tuple[list[Target], list[LoadgenError]]:
        targets: list[Target] = []
        faults: list[LoadgenError] = []
        for spec in profile.targets:
            url = _sim_url(profile, spec, stack)
            try:
                target = await prepare(spec, access, url=url, may_load=options.isolate)
                targets.append(await _adapted(target, profile, options, access))
            except LoadgenError as fault:
                faults.append(fault)
        return targets, faults

    targets, faults = anyio.run(all_of_them)
    if len(faults) > 1:
        raise type(faults[0])("; and ".join(str(fault) for fault in faults))
    if faults:
        raise faults[0]
    return targets


async def _adapted(target: Target, profile: Profile, options: Options, access: Access) -> Target:
    """The target as its server takes requests; it is asked, unless it is ours or its model is not loaded yet."""
    if not options.probe or not target.is_loaded or target.dialect.name == "sim":
        return target
    async with httpx.AsyncClient(timeout=profile.timeouts.connect, verify=access.verify, trust_env=False) as client:
        return await adapted(target, profile.endpoint, secrets.token_hex(8), profile.request, client)


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        return None


def tls(options: Options) -> Any:
    if not options.insecure and options.ca_file is None:
        return True
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

    folder, chip = package_data.folder("reference"), host.facts().get("chip")
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
