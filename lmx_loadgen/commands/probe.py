"""`probe` from its flags to its output: prepare the target, send the requests, store and print the card."""

import contextlib
import os

import anyio
import click

from lmx_loadgen.errors import StorageError
from lmx_loadgen.profile.models import Load, Profile, TargetSpec
from lmx_loadgen.report.dialect_card import rows
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.session.card.probe import AT_ONCE, probe_card
from lmx_loadgen.session.instrument import tls
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.ownership import check_owned
from lmx_loadgen.store.cards import DialectCard, store_card
from lmx_loadgen.system import folders, lock
from lmx_loadgen.targets.address import dialect_of
from lmx_loadgen.targets.own import find_target
from lmx_loadgen.targets.prepare import Access, prepare

_NAME, _VERSION = 80, 60


def probe_command(
    *,
    target: str,
    model: str | None,
    insecure: bool,
    allow_plain_http: bool,
    ca_file: str | None,
    i_own_this_server: bool,
    allow_concurrent: bool,
    as_json: bool,
) -> None:
    """Raises LoadgenError."""
    spec = find_target(target)
    spec = spec if model is None else spec.model_copy(update={"model": model})
    if not i_own_this_server:
        check_owned(Profile(targets=[spec], load=Load(concurrency=[AT_ONCE], requests=AT_ONCE)))
    options = Options(insecure=insecure, ca_file=ca_file, allow_plain_http=allow_plain_http)
    with lock.acquire(allow_concurrent=allow_concurrent) as locked, contextlib.ExitStack() as stack:
        for warning in locked.warnings:
            click.echo(warning, err=True)
        started = _started_simulator(spec, stack)
        card = _card(spec, options, started, quiet=as_json)
    if as_json:
        click.echo(card.model_dump_json(indent=1))
    else:
        _print(card)
    if started is None:
        _store(card, quiet=as_json)


def _started_simulator(spec: TargetSpec, stack: contextlib.ExitStack) -> str | None:
    """The address of a simulator that runs for as long as `stack`, where the target is one without an address."""
    if spec.url is not None or dialect_of(spec).name != "sim":
        return None
    from lmx_loadgen.sim.presets import DEMO
    from lmx_loadgen.sim.process import start

    return stack.enter_context(start(DEMO)).base_url


def _card(spec: TargetSpec, options: Options, url: str | None, *, quiet: bool) -> DialectCard:
    access = Access(os.environ, folders.home(), tls(options), allow_plain_http=options.allow_plain_http)
    ready = anyio.run(lambda: prepare(spec, access, url=url))
    return probe_card(ready, tls(options), lambda words: None if quiet else click.echo(f"{words} …", err=True))


def _print(card: DialectCard) -> None:
    version = f" {sanitize(card.version, _VERSION)}" if card.version else ""
    click.echo(f"{card.product or card.dialect}{version} at {card.url}, {sanitize(card.model, _NAME)}")
    for name, found in rows(card):
        click.echo(f"  {name:25}{found}")
    click.echo(f"{card.requests} requests in {card.seconds:g} s")


def _store(card: DialectCard, *, quiet: bool) -> None:
    """Keep it for runs to come. Raises StorageError."""
    if card.version is None:
        if not quiet:
            click.echo("The server does not tell its version, so runs do not use this card.")
        return
    try:
        path = store_card(card)
    except StorageError as trouble:
        raise StorageError(f"the card could not be stored: {trouble}") from None
    if not quiet:
        click.echo(f"stored in {path}; runs against this version use it")
