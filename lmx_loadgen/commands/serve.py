"""`serve` from its flags to its end: check them, listen, serve."""

import socket
from collections.abc import Sequence
from importlib.util import find_spec
from os import environ
from pathlib import Path

import click

from lmx_loadgen.errors import InputError
from lmx_loadgen.system import folders
from lmx_loadgen.system.sockets import BACKLOG
from lmx_loadgen.targets.address import is_loopback, parse_target
from lmx_loadgen.targets.keys import UnreadableKey, own_admin_key


def serve_command(
    *,
    port: int,
    target: str,
    host: str,
    hosts: Sequence[str],
    tokenizer: Path | None,
    results_dir: Path,
    no_text: bool,
) -> None:
    """Raises InputError for a flag that cannot be used."""
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise InputError("serve needs extra packages: pip install 'lmx-loadgen[serve]'")
    from lmx_loadgen.service.app import ServiceSettings, serve, service_app

    parse_target(target)
    _require_key(host)
    if tokenizer is not None and not folders.expanded(tokenizer).is_file():
        raise InputError(f"--tokenizer {tokenizer}: there is no such file")
    app = service_app(ServiceSettings(target, results_dir, (host, *hosts), tokenizer, no_text))
    listener = _listening(host, port)
    where = listener.getsockname()
    shown = f"[{where[0]}]" if ":" in where[0] else where[0]
    serve(app, listener, lambda: click.echo(f"listening on http://{shown}:{where[1]} (Ctrl-C ends it)"))


def _require_key(host: str) -> None:
    """Only this machine is served without a key."""
    shown = f"[{host}]" if ":" in host else host
    try:
        if is_loopback(f"http://{shown}") or own_admin_key(environ, folders.home()) is not None:
            return
    except UnreadableKey as error:
        raise InputError(f"the admin key cannot be read: {error}") from None
    raise InputError(
        f"--host {host} can be reached from other machines, which needs an admin key: put one in LMX_ADMIN_KEY or "
        "~/.opta-lmx/admin.key"
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot listen on {host}:{port}: {why}") from None
