"""`sim`: keep the embedded simulator running until Ctrl-C."""

from collections.abc import Sequence

import click

from lmx_loadgen.sim.presets import from_pairs
from lmx_loadgen.sim.server import serve


def sim_command(*, port: int, dialect: str, settings: Sequence[str], log: str | None) -> None:
    """Raises InputError for a setting that cannot be used."""
    chosen = from_pairs(settings, port=port, dialect=dialect, log=log)
    serve(chosen, on_ready=lambda ready: click.echo(f"listening on {ready.url}/v1 (Ctrl-C ends it)"))
