"""The words at the head of the page: title, warnings, the main figures at a glance, and the key of the charts."""

from collections.abc import Sequence

from lmx_loadgen.analysis.formats import UNDEFINED, day, milliseconds, plural, rate
from lmx_loadgen.report.markup import Markup, banner, h, join
from lmx_loadgen.report.palette import SeriesStyle
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import RunView, Series, point_of, stat, system_rate

MOST_CARDS = 4


# ---- head -------------------------------------------------------------------------------------------


def title_of(series: Sequence[Series]) -> str:
    """`lmx and ollama: Qwen2.5-7B-Instruct-4bit`; without a model where they differ."""
    names = list(dict.fromkeys(sanitize(one.target["name"], 30) for one in series))
    models = list(dict.fromkeys(sanitize(one.model, 60) for one in series))
    if not names:
        return "Nothing measured"
    who = _and(names) if len(names) <= MOST_CARDS else plural(len(names), "target")
    return f"{who}: {models[0]}" if len(models) == 1 else who


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def headline(runs: Sequence[RunView], series: Sequence[Series]) -> Markup:
    """What was measured, in a title and a sentence."""
    if not runs:
        lede = "There is no run here: what follows was measured by others, and imported."
        return join([h("h1", None, "Imported results"), h("p", {"class": "lede"}, lede)])
    sent = sum(int(level["requests"]["sent"]) for one in series for level in one.levels())
    days = list(dict.fromkeys(day(run.result.get("started_at")) for run in runs))
    machines = list(dict.fromkeys(filter(None, (run.machine for run in runs))))
    facts = [f"{plural(sent, 'request')} in {plural(len(runs), 'run')}"]
    if len(machines) == 1:
        facts.append(f"on {machines[0]}")
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
    sentence = f"How fast a server is for someone talking to it, measured from the outside: {' '.join(facts)}, {when}."
    return join([h("h1", None, title_of(series)), h("p", {"class": "lede"}, sentence)])


def banners(runs: Sequence[RunView], series: Sequence[Series]) -> list[Markup]:
    """What the reader must know before looking at any figure."""
    found = []
    for run in runs:
        if not run.result.get("complete", False):
            which = "The run" if len(runs) == 1 else f"The run {sanitize(run.label, 60)}"
            why = sanitize(run.result.get("reason") or "no reason was stored", 200)
            found.append(
                banner("warn", f"{which} is incomplete ({why}). Its figures rest on what was measured until then.")
            )
    for one in series:
        levels = one.levels()
        if sum(int(level["requests"]["ok"]) for level in levels) == 0:
            failed = sum(int(level["requests"]["failed"]) for level in levels)
            tried = f"all {plural(failed, 'request')} failed" if failed else "none ended"
            found.append(banner("bad", f"No request to {one.name} succeeded: {tried}. It has no latency and no rate."))
    return found


def glance(series: Sequence[Series]) -> Markup | None:
    """A card a series with its three main figures. With many series the table alone says it better."""
    if not 0 < len(series) <= MOST_CARDS:
        return None
    return h("div", {"class": "glance"}, [_card(one) for one in series])


def _card(one: Series) -> Markup:
    levels = one.levels()
    first = next((level for level in levels if stat(level, "ttft", "p50") is not None), levels[0] if levels else None)
    fullest = max(levels, key=lambda level: system_rate(level) or 0.0, default=None)
    if first is None or fullest is None:
        return h("div", {"class": f"card c{one.style.colour}"}, h("h3", None, key_sample(one.style), one.name))
    tiles = [
        _tile(
            "First token",
            milliseconds(stat(first, "ttft", "p50")),
            "ms",
            f"median at {point_of(first).label}",
        ),
        _tile(
            "One answer",
            rate(stat(first, "decode_tok_s", "p50")),
            "tok/s",
            f"median at {point_of(first).label}",
        ),
        _tile("Whole system", rate(system_rate(fullest)), "tok/s", f"most, at {point_of(fullest).label}"),
    ]
    return h(
        "div",
        {"class": f"card c{one.style.colour}"},
        h("h3", None, key_sample(one.style), h("span", None, one.name)),
        h("div", {"class": "model"}, one.model),
        h("dl", {"class": "tiles"}, tiles),
    )


def _tile(term: str, value: str, unit: str, where: str) -> Markup:
    shown = [value, h("small", None, unit)] if value != UNDEFINED else value
    return h("div", None, h("dt", None, term), h("dd", None, shown), h("dd", None, where))


# ---- key --------------------------------------------------------------------------------------------

_DASH_ARRAYS = {"solid": None, "dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3", "longdash": "11 4"}
_MARKS = {
    "circle": "M15 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z",
    "square": "M11 2h8v8h-8z",
    "diamond": "M15 0.5l5.5 5.5l-5.5 5.5l-5.5-5.5z",
    "triangle-up": "M15 0.8l5.2 9h-10.4z",
    "cross": "M13.4 1h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    "star": "M15 0l1.6 4.1l4.4 0.2l-3.4 2.8l1.2 4.3l-3.8-2.4l-3.8 2.4l1.2-4.3l-3.4-2.8l4.4-0.2z",
}


def key_sample(style: SeriesStyle) -> Markup:
    """The line and marker of a series, as its curves show them."""
    line = h("line", {"x1": "0", "x2": "30", "y1": "6", "y2": "6", "stroke-dasharray": _DASH_ARRAYS[style.dash]})
    mark = h("path", {"d": _MARKS[style.symbol]})
    attributes = {"class": f"sample c{style.colour}", "viewBox": "0 0 30 12", "aria-hidden": "true"}
    return h("svg", attributes, line, mark)


def key(series: Sequence[Series]) -> Markup | None:
    """The key of all charts. Each entry is a switch that shows or hides its series everywhere."""
    if len(series) < 2:
        return None
    buttons = [
        h(
            "button",
            {"type": "button", "data-series": str(one.index), "aria-pressed": "true"},
            key_sample(one.style),
            h("span", None, one.name),
        )
        for one in series
    ]
    return h("div", {"class": "key", "role": "group", "aria-label": "Show or hide a series in all charts"}, buttons)
