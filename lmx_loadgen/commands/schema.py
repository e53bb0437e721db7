"""`schema`: the JSON schemas of the files that a run writes."""

import json

import click

from lmx_loadgen.store.schema import schemas


def print_schemas() -> None:
    click.echo(json.dumps(schemas(), indent=1))
