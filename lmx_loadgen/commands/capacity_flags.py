"""The flags of `capacity`: its own, and those of `run` that leave the load to the search."""

import click

from lmx_loadgen.commands import flags
from lmx_loadgen.commands.flags import Flag
from lmx_loadgen.commands.run_flags import RUN_FLAGS

_DECIDED_BY_SEARCH = frozenset(
    (
        *("concurrency", "rate", "arrivals", "replay", "requests", "duration", "blocks", "stability"),
        *("until_conclusive", "max_duration", "detect", "budget", "accept", "isolate", "server_benchmark"),
        *("server_cmds", "restarts", "repeat", "dry_run", "tool_call", "skill", "skill_timeout"),
    )
)

CAPACITY_FLAGS: tuple[Flag, ...] = (
    Flag(
        "--by",
        group=flags.SEARCH,
        type=click.Choice(["concurrency", "rate", "users"]),
        default="concurrency",
        show_default=True,
        help="Search for concurrent requests, requests per second (Poisson), or users without time to think.",
    ),
    Flag(
        "--share",
        group=flags.SEARCH,
        metavar="95%",
        default="95%",
        show_default=True,
        callback=flags.percent,
        help="Share of the requests that must keep every limit.",
    ),
    Flag(
        "--within",
        group=flags.SEARCH,
        metavar="15m",
        default="15m",
        show_default=True,
        callback=flags.duration_seconds,
        help="End the search after this long, with the range found until then.",
    ),
    *(flag for flag in RUN_FLAGS if flag.name not in _DECIDED_BY_SEARCH),
)
