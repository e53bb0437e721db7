"""Colours, line dashes and markers: which look a series has, the same in every chart, table and key.

The hues are those of Okabe and Ito (*Color Universal Design*, 2008), which stay apart for the colour-blind;
each has a brighter form for the dark page and a deeper one for the light page. Vermillion is kept for failures.
A series also differs by dash and marker, so that no chart depends on colour alone.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'

# (on dark, on light)
SERIES_COLOURS = (
    ("#56b4e9", "#0072b2"),
    ("#e69f00", "#b06a00"),
    ("#2fc79b", "#007a5a"),
    ("#d88bb6", "#a6437c"),
    ("#f0e442", "#857a00"),
    ("#a79bff", "#5546c8"),
)
FAILURE = ("#ff7043", "#c63d0c")
MUTED = ("#7d8894", "#7b8490")

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_DASH_ARRAYS = {"solid": "", "dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3", "longdash": "11 4"}
_MARKS = {
    "circle": "M15 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z",
    "square": "M11 2h8v8h-8z",
    "diamond": "M15 0.5l5.5 5.5l-5.5 5.5l-5.5-5.5z",
    "triangle-up": "M15 0.8l5.2 9h-10.4z",
    "cross": "M13.4 1h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    "star": "M15 0l1.6 4.1l4.4 0.2l-3.4 2.8l1.2 4.3l-3.8-2.4l-3.8 2.4l1.2-4.3l-3.4-2.8l4.4-0.2z",
}


@dataclass(frozen=True, slots=True)
class SeriesStyle:
    """How one series is drawn: the index of its colour, and its dash and marker."""

    colour: int
    dash: str
    symbol: str

    @property
    def on_dark(self) -> str:
        return SERIES_COLOURS[self.colour][0]

    @property
    def dash_array(self) -> str:
        """The dash as SVG has it; empty for a solid line."""
        return _DASH_ARRAYS[self.dash]

    @property
    def mark(self) -> str:
        """The marker as a path in a box of 30 by 12."""
        return _MARKS[self.symbol]


def series_styles(target_names: list[str]) -> list[SeriesStyle]:
    """A look for each series: the colour belongs to the target's name, dash and marker to the series."""
    fresh = count()
    colour_of: dict[str, int] = {}
    for name in target_names:
        if name not in colour_of:
            colour_of[name] = next(fresh) % len(SERIES_COLOURS)
    return [
        SeriesStyle(colour_of[name], DASHES[index % len(DASHES)], SYMBOLS[index % len(SYMBOLS)])
        for index, name in enumerate(target_names)
    ]


def dark_to_light() -> dict[str, str]:
    """For each colour of the dark page, the one that takes its place on the light page."""
    return dict((*SERIES_COLOURS, FAILURE, MUTED))


def templates() -> dict[str, dict[str, Any]]:
    """Plotly layout templates named `dark` and `light`: everything about a figure that is not its data."""
    return {
        "dark": _template(text="#aab4bf", grid="#232a32", line="#39424d", panel="#1b2128", strong="#e8edf2"),
        "light": _template(text="#515b66", grid="#e6e9ed", line="#bcc4cc", panel="#ffffff", strong="#14191f"),
    }


def _template(text: str, grid: str, line: str, panel: str, strong: str) -> dict[str, Any]:
    axis = {
        "gridcolor": grid,
        "linecolor": line,
        "zerolinecolor": line,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 12, "color": text}},
    }
    layout = {
        "font": {"family": FONT, "size": 12, "color": text},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 10, "b": 8},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": panel,
            "bordercolor": line,
            "font": {"family": FONT, "size": 12, "color": strong},
            "align": "left",
        },
        "xaxis": axis,
        "yaxis": axis,
        "showlegend": False,
    }
    return {"layout": layout}
