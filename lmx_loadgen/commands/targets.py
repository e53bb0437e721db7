"""`targets` from its flags to its output: which servers are there, and the user's own ones."""

import json
import os
from collections.abc import Iterator, Sequence

import click

from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.system import folders
from lmx_loadgen.targets import own
from lmx_loadgen.targets.found import FoundServer
from lmx_loadgen.targets.here import look_around
from lmx_loadgen.targets.prepare import Access
from lmx_loadgen.wire.tls import tls_context

_MOST_NAMES = 4
_NAME, _LINE = 80, 2000
_INDENT = "    "


def print_targets(as_json: bool) -> None:
    """Look at this machine's ports and the user's own targets. Raises ProfileError for a damaged list of these."""
    access = Access(env=os.environ, home=folders.home(), verify=tls_context())
    found = look_around(access, own.read_own().values())
    if as_json:
        click.echo(json.dumps([one.as_row() for one in found], indent=1))
        return
    click.echo("\n".join(target_lines(found)))


def target_lines(found: Sequence[FoundServer]) -> list[str]:
    """A block of lines for each server: who it is, what it has, and the command for the next step."""
    if not found:
        return [
            "No server answers on the known ports of this machine.",
            "Start one, or add one elsewhere: lmx-loadgen targets add NAME http://HOST:PORT",
        ]
    return [line for one in found for line in _block(one)]


def _block(one: FoundServer) -> Iterator[str]:
    version = f" {one.version}" if one.version else ""
    yield sanitize(f"{one.name}: {one.title}{version} at {one.base_url.removesuffix('/v1')}", _LINE)
    if one.installed:
        others = [name for name in one.installed if name not in one.loaded]
        parts = [f"loaded: {names(one.loaded)}"] if one.loaded else []
        parts += [f"installed: {names(others)}"] if others else []
        yield _INDENT + sanitize("; ".join(parts), _LINE)
    if one.reason is not None:
        yield _INDENT + sanitize(one.reason, _LINE)
    if one.command is not None:
        yield _INDENT + sanitize(one.command, _LINE)


def names(models: Sequence[str]) -> str:
    """Some of the names, and how many more there are."""
    shown = [sanitize(name, _NAME) for name in models[:_MOST_NAMES]]
    more = len(models) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def add_target(name: str, url: str, dialect: str | None, key_env: str | None) -> None:
    """Raises InputError, ProfileError or StorageError."""
    spec = own.add(name, url, dialect, key_env)
    key = f" with the key in {spec.api_key_env}" if spec.api_key_env else ""
    click.echo(f"added {spec.name}: {spec.url}{key}, in {own.path()}")
    click.echo(f"lmx-loadgen run --target {spec.name}")


def remove_target(name: str) -> None:
    """Raises InputError, ProfileError or StorageError."""
    own.remove(name)
    click.echo(f"removed {name}")
