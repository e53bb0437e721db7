"""`record` from its flags to its note."""

import asyncio
import contextlib
import signal
from datetime import datetime
from pathlib import Path

import click

from lmx_loadgen.errors import InputError
from lmx_loadgen.recording.record import RecordingNote, record
from lmx_loadgen.recording.upstream import Upstream
from lmx_loadgen.system import folders
from lmx_loadgen.targets.address import dialect_of, normalize_url
from lmx_loadgen.targets.own import find_target, with_address
from lmx_loadgen.wire.tls import tls_context


def record_command(*, listen: int, upstream: str, out: Path | None, text: bool) -> None:
    """Raises InputError and StorageError."""
    try:
        spec = with_address(find_target(upstream))
    except InputError as error:
        raise InputError(str(error).replace("--target", "--upstream", 1)) from None
    address = spec.url or dialect_of(spec).default_url
    if address is None:
        raise InputError(f"--upstream {spec.name} needs an address: --upstream {spec.name}=http://HOST:PORT")
    server = Upstream(normalize_url(address, "--upstream"), tls_context() if address.startswith("https:") else None)
    path = folders.expanded(out) if out is not None else Path(f"chats-{datetime.now():%Y%m%d-%H%M%S}.jsonl")
    note = asyncio.run(_until_signal(server, listen, path, keep_text=text))
    for sentence in note.sentences:
        click.echo(sentence, err=True)
    click.echo(f"stored in {path}; send it again: lmx-loadgen run --chats {path}", err=True)


async def _until_signal(server: Upstream, port: int, path: Path, *, keep_text: bool) -> RecordingNote:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, ended.set)

    def listening(taken: int) -> None:
        click.echo(
            f"listening on http://127.0.0.1:{taken}/v1, passing on to {server.base_url} (Ctrl-C ends it)", err=True
        )
        what = "texts are stored" if keep_text else "only lengths are stored, no texts (--text stores them)"
        click.echo(f"storing in {path}: {what}", err=True)

    return await record(server, port, path, keep_text=keep_text, until=ended, listening=listening)
