"""One way to write each kind of figure, the same in the terminal, in the tables and in the charts.

Values come in base units (seconds, tokens a second); `None` is undefined and is written as an em dash.
"""

UNDEFINED = "—"


def milliseconds(seconds: float | None) -> str:
    """A time in ms, without its unit: one decimal below 10 ms, none above."""
    if seconds is None:
        return UNDEFINED
    value = seconds * 1e3
    return f"{value:,.1f}" if abs(value) < 9.95 else f"{value:,.0f}"


def rate(per_second: float | None) -> str:
    """Tokens or requests a second, without the unit, to one decimal."""
    return UNDEFINED if per_second is None else f"{per_second:,.1f}"


def count(number: int | None) -> str:
    """A whole number with thousands separated."""
    return UNDEFINED if number is None else f"{number:,}"


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


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 request`, `1,200 requests`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
