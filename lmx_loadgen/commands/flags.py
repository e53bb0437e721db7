"""How a flag is declared, the flags that several commands share, and the readers of their values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from lmx_loadgen.profile.durations import seconds

Command = TypeVar("Command", bound=Callable[..., Any] | click.Command)

PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class Flag:
    """One flag: the names and settings that click takes, and what else the tool needs to know of it.

    `group` is its heading in the help, `key` the profile's key that it overrides; `with_resume` allows it beside
    --resume. Decorates a command.
    """

    names: tuple[str, ...]
    settings: Mapping[str, Any]
    group: str = ""
    key: str | None = None
    with_resume: bool = False

    def __call__(self, command: Command) -> Command:
        return click.option(*self.names, **self.settings)(command)

    @property
    def option(self) -> click.Option:
        return click.Option(self.names, **self.settings)

    @property
    def parameter(self) -> str:
        """The name under which a command gets its value."""
        return self.option.name or ""

    @property
    def switch(self) -> str:
        """Its first name, as a user types it."""
        return self.option.opts[0]


def flag(*names: str, group: str = "", key: str | None = None, with_resume: bool = False, **settings: Any) -> Flag:
    return Flag(names, settings, group, key, with_resume)


class GroupedCommand(click.Command):
    """A command whose help shows its flags under the headings of their groups."""

    def __init__(self, *arguments: Any, flags: Sequence[Flag], **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "params": [one.option for one in flags]})
        self._group_of = {one.parameter: one.group for one in flags}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (row := param.get_help_record(ctx)) is not None:
                rows.setdefault(self._group_of.get(param.name or "", "Help"), []).append(row)
        for group, of_group in rows.items():
            with formatter.section(group):
                formatter.write_dl(of_group)


def results_dir(help: str) -> Flag:
    return flag("--results-dir", type=PATH, default=Path("reports"), show_default=True, help=help)


def out(help: str, **more: Any) -> Flag:
    return flag("--out", type=PATH, default=Path("reports"), show_default=True, help=help, **more)


def output(help: str) -> Flag:
    return flag("--output", type=PATH, help=help)


def reference(use: str, type: click.Path = PATH, **more: Any) -> Flag:
    help = f"Published figures to {use}. [default: those that come with the tool]"
    return flag("--reference", type=type, metavar="FILE", help=help, **more)


def report_format(*shapes: str, help: str | None = None) -> Flag:
    """`--format`, by default the first of `shapes`."""
    return flag("--format", "shape", type=click.Choice(shapes), default=shapes[0], show_default=True, help=help)


def as_json(what: str = "", **more: Any) -> Flag:
    return flag("--json", "as_json", is_flag=True, help=f"Print {what}JSON and nothing else.", **more)


def allow_concurrent(help: str, **more: Any) -> Flag:
    return flag("--allow-concurrent", is_flag=True, help=help, **more)


def workers(help: str, **more: Any) -> Flag:
    return flag("--workers", type=click.IntRange(1, 64), help=help, **more)


def accept(stored: str, **more: Any) -> Flag:
    help = f"Compare in spite of failed checks; the reason {stored}."
    return flag("--accept", metavar="REASON", help=help, **more)


def loop(**more: Any) -> Flag:
    return flag("--loop", type=click.Choice(["uvloop", "asyncio"]), help="Event loop. [default: uvloop]", **more)


def stamps(**more: Any) -> Flag:
    help = "Who says when bytes came. [default: kernel where it can]"
    return flag("--stamps", type=click.Choice(["kernel", "loop"]), help=help, **more)


def concurrency_levels(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers; write it like 1,4,8", ctx, param) from None


def duration_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else seconds(value)
    except ValueError as problem:
        raise click.BadParameter(f"{value!r} {problem}", ctx, param) from None


def percent(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """A share between 0 and 1 from a text like "3%"."""
    try:
        share = float(value.removesuffix("%").strip()) / 100
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise click.BadParameter(f"{value!r} is no share; write it like 3%", ctx, param)
    return share
