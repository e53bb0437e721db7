"""How a flag is declared, the flags that several commands share, and the readers of their values."""

import json
from pathlib import Path
from typing import Any

import click

from lmx_loadgen.profile.durations import seconds

PATH = click.Path(path_type=Path)

# The headings of `run --help`, in their order.
TARGETS, LOAD, PROMPTS, LIMITS = "What to measure", "Load", "Prompts", "Limits"
COMPARING, CHECKS, OUTPUT, ADVANCED = "Comparing", "Checks", "Output", "Advanced"
SEARCH = "Search"
_GROUPS = (SEARCH, TARGETS, LOAD, PROMPTS, LIMITS, COMPARING, CHECKS, OUTPUT, ADVANCED)


class Flag(click.Option):
    """One flag, as click declares it, and what else the tool needs to know of it.

    `group` is its heading in a `GroupedCommand`'s help, `key` the profile's key that it overrides; `with_resume` allows
    it beside --resume, `has_text` only where the run to resume did not store its texts. A `former` name is still
    understood, and shown nowhere.
    """

    def __init__(
        self,
        *names: str,
        group: str = "",
        key: str | None = None,
        with_resume: bool = False,
        has_text: bool = False,
        former: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(names, **settings)
        self.group, self.key, self.with_resume, self.former = group, key, with_resume, former
        self.has_text = has_text

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        shown = self.opts
        self.opts = [*shown, *([self.former] if self.former else [])]
        super().add_to_parser(parser, ctx)
        self.opts = shown


class GroupedCommand(click.Command):
    """A command whose help shows its flags under the headings of their groups.

    Libraries do the same, and importing one takes as long as `--help` may: 45 ms (cloup) and 30 ms (rich-click).
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (row := param.get_help_record(ctx)) is not None:
                rows.setdefault(param.group if isinstance(param, Flag) else ADVANCED, []).append(row)
        for group in sorted(rows, key=_GROUPS.index):
            with formatter.section(group):
                formatter.write_dl(rows[group])


LOOP = Flag("--loop", group=ADVANCED, type=click.Choice(["uvloop", "asyncio"]), help="Event loop. [default: uvloop]")
STAMPS = Flag(
    "--stamps",
    group=ADVANCED,
    type=click.Choice(["kernel", "loop"]),
    help="Source of arrival times. [default: kernel on Linux, else loop]",
)


VERBOSE = Flag(
    "--verbose", "-v", group=OUTPUT, with_resume=True, is_flag=True, help="Print every sentence and every note."
)
INSECURE = Flag("--insecure", group=ADVANCED, is_flag=True, help="Skip TLS certificate checks.")
ALLOW_PLAIN_HTTP = Flag(
    "--allow-plain-http",
    group=ADVANCED,
    is_flag=True,
    help="Allow API keys over plain http to other machines.",
)
CA_FILE = Flag(
    "--ca-file", group=ADVANCED, type=click.Path(exists=True, dir_okay=False), help="CA certificates to trust."
)


def results_dir(help: str) -> Flag:
    return Flag("--results-dir", type=PATH, default=Path("reports"), show_default=True, help=help)


def out(help: str) -> Flag:
    return Flag("--out", group=OUTPUT, type=PATH, default=Path("reports"), show_default=True, help=help)


def output(help: str) -> Flag:
    return Flag("--output", type=PATH, help=help)


def reference(use: str, type: click.Path = PATH) -> Flag:
    help = f"Published figures to {use}. [default: the packaged ones]"
    return Flag("--reference", group=OUTPUT, type=type, metavar="FILE", help=help)


def report_format(*shapes: str, help: str | None = None) -> Flag:
    """`--format`, by default the first of `shapes`."""
    return Flag("--format", "shape", type=click.Choice(shapes), default=shapes[0], show_default=True, help=help)


def as_json(what: str = "") -> Flag:
    help = f"Print {what}JSON and nothing else."
    return Flag("--json", "as_json", group=OUTPUT, with_resume=True, is_flag=True, help=help)


def concurrency_levels(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a list of whole numbers; use something like 1,4,8", ctx, param
        ) from None


def request_rates(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | str | None:
    if value in (None, "sweep"):
        return value
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a list of rates; use something like 0.5,1,2 or sweep", ctx, param
        ) from None


def duration_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else seconds(value)
    except ValueError as problem:
        raise click.BadParameter(f"{value!r} {problem}", ctx, param) from None


def json_object(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise click.BadParameter(
            f"{value[:60]!r} is not a JSON object; use something like '{{\"top_k\": 1}}'", ctx, param
        )
    return found


def percent(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A share between 0 and 1 from a text like "3%"."""
    if value is None:
        return None
    try:
        share = float(value.removesuffix("%").strip()) / 100
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise click.BadParameter(f"{value!r} is not a percentage; use something like 3%", ctx, param)
    return share
