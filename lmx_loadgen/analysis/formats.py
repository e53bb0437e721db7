"""One way to write each kind of figure and time, the same in sentences, the terminal, tables and charts.

Values come in base units (seconds, tokens a second); `None` is undefined and is written as an em dash.
"""

from collections.abc import Callable

from lmx_loadgen.profile.load_point import ALONE, LoadPoint
from lmx_loadgen.system.clock import moment

UNDEFINED = "—"


# ---- figures ----------------------------------------------------------------------------------------


def milliseconds(seconds: float | None) -> str:
    """A time in ms, without its unit: one decimal below 10 ms, none above."""
    if seconds is None:
        return UNDEFINED
    value = seconds * 1e3
    return f"{value:,.1f}" if abs(value) < 9.95 else f"{value:,.0f}"


def rate(per_second: float | None) -> str:
    """Tokens or requests a second, without the unit, to one decimal."""
    return UNDEFINED if per_second is None else f"{per_second:,.1f}"


def count(number: float | None) -> str:
    """A number with thousands separated; a mean is rounded to a whole one."""
    if number is None:
        return UNDEFINED
    return f"{number:,}" if isinstance(number, int) else f"{number:,.0f}"


def interval(edges: tuple[float, float] | None, shown: Callable[[float | None], str]) -> str:
    """`180 … 210`, each edge as `shown` writes it."""
    return UNDEFINED if edges is None else f"{shown(edges[0])} … {shown(edges[1])}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 request`, `1,200 requests`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def at_load(point: LoadPoint) -> str:
    """`at concurrency 4`; empty for one request at a time, which goes without saying."""
    return "" if point == ALONE else f"at {point.label}"


# ---- shares -----------------------------------------------------------------------------------------


def percent(share: float, *, signed: bool = False) -> str:
    """0.183 as "18 %", 0.0183 as "1.8 %"."""
    sign = ("+" if share > 0 else "−" if share < 0 else "") if signed else ""
    value = abs(share) * 100
    return f"{sign}{f'{value:.0f}' if value >= 9.95 else f'{value:.1f}'.removesuffix('.0')} %"


def points(share: float, *, signed: bool = False) -> str:
    """A difference of two shares, 0.07 as "7 points"."""
    return percent(share, signed=signed).replace(" %", " points")


def change_interval(low: float, high: float, shown: Callable[..., str] = percent) -> str:
    """An interval of changes for a table: `+8 … +16 %`."""
    return f"{shown(low, signed=True).partition(' ')[0]} … {shown(high, signed=True)}"


def change_range(low: float, high: float, shown: Callable[..., str] = percent) -> str:
    """An interval of changes in a sentence: `+8 % to +16 %`."""
    return f"{shown(low, signed=True)} to {shown(high, signed=True)}"


# ---- times ------------------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """A length of time with its unit, as a person would say it: `850 ms`, `12.3 s`, `4 min 05 s`."""
    if seconds is None:
        return UNDEFINED
    if seconds < 1:
        return f"{milliseconds(seconds)} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def day(text: object) -> str:
    """`23 November 2026`, for a sentence."""
    found = moment(text)
    return "an unknown day" if found is None else f"{found.day} {found:%B %Y}"


def short_time(text: object, *, seconds: bool = False) -> str:
    """`23 Nov 17:36`, as a run is labeled; what cannot be read stays as it is."""
    found = moment(text)
    if found is None:
        return str(text)
    return f"{found:%d %b %H:%M:%S}" if seconds else f"{found:%d %b %H:%M}"


def full_time(text: object) -> str:
    """`2026-11-23 17:36:04 UTC`."""
    found = moment(text)
    return UNDEFINED if found is None else f"{found:%Y-%m-%d %H:%M:%S} UTC"
