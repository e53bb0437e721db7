"""A small line over several runs, as inline SVG: it needs no script and no network."""

from collections.abc import Sequence

from lmx_loadgen.analysis.formats import milliseconds, rate
from lmx_loadgen.report.card_data import Card, EarlierRun
from lmx_loadgen.report.markup import NUMBER, Markup, about, boxed_table, chip, column, h, row
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import as_shown, mean_interval, stat

_WIDTH, _HEIGHT, _EDGE = 260, 56, 7
_SHOWN = (("decode_tok_s", "tok/s", "higher is better"), ("ttft", "TTFT ms", "lower is better"))


def older_runs(card: Card) -> Markup | None:
    """The runs before the newest, folded: a line for each of the two main figures, and a table."""
    if len(card.runs) < 2:
        return None
    comparable = [past for past in reversed(card.runs) if past.same_work]
    lines = [drawn for metric in _SHOWN if (drawn := _line(comparable, *metric)) is not None]
    left_out = len(card.runs) - len(comparable)
    words = "Separate runs: chance, heat and other work on the machine differ between them as well. "
    if left_out:
        words += f"The lines leave out {left_out}, which asked for other work than the newest. "
    earlier = len(card.runs) - 1
    return h(
        "details",
        None,
        h("summary", None, f"{earlier} earlier {'run' if earlier == 1 else 'runs'} of this model"),
        about(words + "Whiskers are 95 % intervals of the mean within each run."),
        h("div", {"class": "trends"}, lines),
        _table(card),
    )


def _table(card: Card) -> Markup:
    head = [column("Run"), column("tok/s", "mean", number=True), column("TTFT", "mean, ms", number=True), column("")]
    rows = [
        row(
            h("td", None, sanitize(past.label, 60)),
            h("td", NUMBER, rate(_mean(past, "decode_tok_s"))),
            h("td", NUMBER, milliseconds(_mean(past, "ttft"))),
            h("td", None, chip("newest") if place == 0 else None if past.same_work else chip("other work", "warn")),
        )
        for place, past in enumerate(card.runs)
    ]
    return boxed_table("All runs of this model here, newest first.", head, rows)


def _mean(past: EarlierRun, metric: str) -> float | None:
    return None if past.level is None else stat(past.level, metric, "mean")


def _line(runs: Sequence[EarlierRun], metric: str, title: str, better: str) -> Markup | None:
    """Means from the oldest run to the newest, evenly spaced; None where there are not two of them."""
    points = [(past, value) for past in runs if (value := _mean(past, metric)) is not None]
    if len(points) < 2:
        return None
    edges = [mean_interval(past.level, metric) if past.level else None for past, _ in points]
    lows = [edge[0] if edge else value for edge, (_, value) in zip(edges, points, strict=True)]
    highs = [edge[1] if edge else value for edge, (_, value) in zip(edges, points, strict=True)]
    low, high = min(lows), max(highs)

    def x(place: int) -> str:
        return f"{_EDGE + place * (_WIDTH - 2 * _EDGE) / (len(points) - 1):.1f}"

    def y(value: float) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE):.1f}"

    values = [value for _, value in points]
    path = "M" + "L".join(f"{x(place)} {y(value)}" for place, value in enumerate(values))
    whiskers = [
        h("line", {"x1": x(place), "x2": x(place), "y1": y(lows[place]), "y2": y(highs[place]), "class": "whisker"})
        for place in range(len(values))
        if lows[place] < highs[place]
    ]
    dots = [h("circle", {"cx": x(place), "cy": y(value), "r": "3"}) for place, value in enumerate(values)]
    shown = [as_shown(metric)(value) for value in values]
    words = f"{title}, mean of {len(values)} runs from the oldest to the newest: {', '.join(shown)}"
    return h(
        "figure",
        {"class": "trend"},
        h("figcaption", None, h("strong", None, title), f" {shown[0]} → {shown[-1]}, {better}"),
        h(
            "svg",
            {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "role": "img", "aria-label": words},
            whiskers,
            h("path", {"d": path}),
            dots,
        ),
        h(
            "p",
            {"class": "ends"},
            h("span", None, sanitize(points[0][0].label, 40)),
            h("span", None, sanitize(points[-1][0].label, 40)),
        ),
    )
