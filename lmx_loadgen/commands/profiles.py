"""`profiles`: the load profiles that come with the package."""

import click

from lmx_loadgen.profile.models import load_profile, profile_names
from lmx_loadgen.system import package_data


def print_profiles() -> None:
    for name in profile_names():
        click.echo(f"{name:14} {' '.join(load_profile(name).description.split())}")


def print_profile(name: str) -> None:
    """Print one profile as it is written. Raises ProfileError for a name that is none."""
    load_profile(name)
    click.echo((package_data.folder("profiles") / f"{name}.yaml").read_text(encoding="utf-8"), nl=False)
