"""The tables and notes of the page: figures of every level, failures, notes a target, what was run, terms."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis.formats import UNDEFINED, count, full_time, rate
from lmx_loadgen.analysis.metrics import METRICS, headline
from lmx_loadgen.analysis.records import answer_text
from lmx_loadgen.profile.load_point import labels
from lmx_loadgen.report.markup import NUMBER, Markup, boxed_table, chip, column, grouped_table, h, row
from lmx_loadgen.report.page_header import key_sample
from lmx_loadgen.report.power import power_words
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import (
    Level,
    RunView,
    Series,
    as_shown,
    failures_of,
    heading,
    is_weak,
    point_of,
    stat,
    system_rate,
)
from lmx_loadgen.report.view import target_notes as notes_of

REASON_LIMIT = 400
FACT_LIMIT = 400


def metric_column(metric: str, statistic: str = "") -> Markup:
    """The heading of a column of one metric, named and in the unit as everywhere."""
    name, unit = heading(metric)
    return column(f"{name} {statistic}".strip(), unit, number=True)


# ---- summary ----------------------------------------------------------------------------------------


def summary(series: Sequence[Series]) -> Markup:
    """Every target and level in one table."""
    head = [
        column("Target"),
        column("Concur\u00adrency", number=True),
        metric_column("ttft", "p50"),
        metric_column("ttft", "p95"),
        metric_column("decode_tok_s", "p50"),
        metric_column("output_tok_s"),
        column("ok / failed", number=True),
        column("Tokens by"),
        column("Notes"),
    ]
    caption = "Every target and level. † marks a percentile with fewer than five samples beyond it."
    return grouped_table(caption, head, [_summary_body(one) for one in series])


def _summary_body(one: Series) -> Markup:
    levels = one.levels()
    name = h(
        "th",
        {"scope": "rowgroup", "rowspan": str(max(len(levels), 1))},
        h("span", {"class": "name"}, key_sample(one.style), h("span", None, one.name)),
        h("span", {"class": "model"}, one.model),
    )
    rows = [row(name if place == 0 else None, _summary_cells(level)) for place, level in enumerate(levels)]
    return h("tbody", None, rows or row(name, h("td", {"colspan": "8"}, "no level was run")))


def _summary_cells(level: Level) -> list[Markup]:
    return [
        h("td", NUMBER, point_of(level).cell),
        _figure(level, headline("ttft", point_of(level)), "p50"),
        _figure(level, headline("ttft", point_of(level)), "p95"),
        _figure(level, "decode_tok_s", "p50"),
        _system_figure(level),
        _ok_failed(level["requests"]),
        h("td", None, UNDEFINED if level["sample"] == "none" else sanitize(level["token_basis"], 20)),
        h("td", None, _chips(level)),
    ]


def _figure(level: Level, metric: str, key: str) -> Markup:
    """A cell with one statistic; with the instrument's own error where that is known, with a mark where it is weak."""
    value = stat(level, metric, key)
    if value is None:
        reason = (level["metrics"].get(metric) or {}).get("reason")
        return h("td", NUMBER | {"title": sanitize(reason, 200) if reason else None}, UNDEFINED)
    mark = h("span", {"class": "mark"}, "†") if is_weak(level, metric, key) else None
    return h("td", NUMBER, as_shown(metric)(value), mark, _error(level, metric))


def _system_figure(level: Level) -> Markup:
    value = system_rate(level)
    return h("td", NUMBER, rate(value), None if value is None else _error(level, "output_tok_s"))


def _error(level: Level, metric: str) -> Markup | None:
    error, scale = stat(level, metric, "instrument_error"), 1e3 if METRICS[metric].unit == "s" else 1.0
    title = "instrument's error, 99th percentile over requests"
    return None if error is None else h("span", {"class": "pm", "title": title}, f"±{error * scale:,.2g}")


def _ok_failed(requests: Mapping[str, Any]) -> Markup:
    failed = int(requests["failed"])
    return h(
        "td",
        NUMBER,
        count(requests["ok"]),
        h("span", {"class": "ofwhich"}, " / "),
        h("span", {"class": "failed" if failed else "ofwhich"}, count(failed)),
    )


def _chips(level: Level) -> list[Markup]:
    """The notes in a word each; their sentences stand under the target's own heading."""
    words = []
    if not level.get("complete", True):
        words.append(("bad", "incomplete"))
    if (level.get("open_loop") or {}).get("overloaded"):
        words.append(("bad", "overloaded"))
    if level.get("tainted"):
        words.append(("bad", "tainted"))
    if not level.get("token_basis_exact", True):
        words.append(("warn", "not exact"))
    if level.get("sample") == "all":
        words.append(("", "ramp included"))
    if level["requests"].get("cancelled"):
        words.append(("", f"{level['requests']['cancelled']} cancelled"))
    return [chip(word, kind) for kind, word in words]


# ---- errors -----------------------------------------------------------------------------------------


def errors(series: Sequence[Series]) -> Markup | None:
    """Each kind of failure with the server's own words."""
    rows = [
        row(
            h("td", {"class": "who"}, one.name),
            h("td", None, failures.name),
            h("td", {"class": "words"}, sanitize(failures.reason or UNDEFINED, REASON_LIMIT)),
            h("td", NUMBER, count(failures.number)),
        )
        for one in series
        for failures in failures_of(one.target)
    ]
    if not rows:
        return None
    head = [column("Target"), column("Kind"), column("In the server's words"), column("Requests", number=True)]
    return boxed_table("Failed requests by kind and reason.", head, rows)


# ---- notes a target ---------------------------------------------------------------------------------


def target_notes(series: Sequence[Series]) -> Markup:
    """A card a target: which server answered, and what to know about its figures."""
    return h("div", {"class": "grid cards"}, [_notes_card(one) for one in series])


def _notes_card(one: Series) -> Markup:
    target = one.target
    server = target.get("server") or {}
    product = " ".join(sanitize(part, 60) for part in (server.get("product"), server.get("version")) if part)
    answered = [sanitize(model, 120) for model in target.get("models_answered") or []]
    facts = [
        ("Model", one.model),
        ("Answered by", ", ".join(answered) if answered and answered != [one.model] else ""),
        ("Server", product),
        ("Weights", sanitize(server.get("quantization") or "", 120)),
        ("Repeats", sanitize((target.get("cache") or {}).get("sentence") or "", 200)),
        ("Address", sanitize(target.get("base_url") or "", 200)),
        ("Answers ended by", _finish_reasons(one)),
        ("Power and heat", (power_words(target) or ("",))[0]),
    ]
    return h(
        "div",
        {"class": f"card c{one.style.colour}"},
        h("h3", None, key_sample(one.style), h("span", None, one.name)),
        _facts(facts),
        _listed(notes_of(target, labels)),
    )


def _listed(notes: Sequence[str]) -> Markup | None:
    return h("ul", {"class": "plain"}, [h("li", None, note) for note in notes]) if notes else None


def _facts(facts: Iterable[tuple[str, str]]) -> Markup:
    known = [(term, value) for term, value in facts if value]
    return h("dl", {"class": "facts"}, [[h("dt", None, term), h("dd", None, value)] for term, value in known])


def _finish_reasons(one: Series) -> str:
    sums = Counter[str]()
    for level in one.levels():
        sums.update(level.get("finish_reasons") or {})
    return ", ".join(f"{sanitize(reason, 40)} ({count(number)})" for reason, number in sums.items())


def first_answer(one: Series) -> str:
    """The text of the first measured request that succeeded, or an empty string."""
    good = (request for level in one.levels() for request in one.requests_of(level) if request.ok and request.measured)
    return next(filter(None, (answer_text(request.line) for request in good)), "")


# ---- what was run -----------------------------------------------------------------------------------


def what_was_run(runs: Sequence[RunView]) -> Markup:
    """A card a run: when, by which version, on which machine, with which profile."""
    return h("div", {"class": "grid cards"}, [_run_card(run) for run in runs])


def _run_card(run: RunView) -> Markup:
    result = run.result
    tool, profile = (result.get(part) or {} for part in ("tool", "profile"))
    facts = [
        ("Run", sanitize(result.get("run_id") or UNDEFINED, 40)),
        ("Started", full_time(result.get("started_at"))),
        ("Ended", full_time(result.get("ended_at"))),
        ("Complete", "yes" if result.get("complete") else f"no ({sanitize(result.get('reason') or 'unknown', 200)})"),
        ("Profile", sanitize(profile.get("name") or UNDEFINED, 60)),
        ("Machine", run.machine),
        ("Tool", f"{sanitize(tool.get('name') or 'lmx-loadgen', 40)} {sanitize(tool.get('version') or '', 40)}"),
    ]
    return h(
        "div",
        {"class": "card"},
        h("h3", None, sanitize(run.label, 80)),
        _facts(facts),
        _listed([sanitize(note, 300) for note in result.get("notes") or []]),
        _folded("Profile, as resolved", profile),
        _folded("Machine, versions and instrument", _circumstances(result)),
    )


def _circumstances(result: Mapping[str, Any]) -> dict[str, Any]:
    # The calibration has a table of its own.
    how = {name: value for name, value in (result.get("instrument") or {}).items() if name != "calibration"}
    return {**(result.get("host") or {}), "versions": result.get("versions") or {}, "instrument": how}


def _folded(title: str, values: Mapping[str, Any]) -> Markup | None:
    facts = list(_flattened(values))
    return h("details", None, h("summary", None, title), _facts(facts)) if facts else None


def _flattened(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    """Nested values as dotted names and short texts; what is unset is left out."""
    for name, value in values.items():
        dotted = f"{path}{sanitize(name, 60)}"
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{dotted}.")
        elif value not in (None, "", []):
            yield dotted, _fact(value)


def _fact(value: Any) -> str:
    if isinstance(value, list):
        return sanitize(", ".join(sanitize(_fact(item), FACT_LIMIT) for item in value), FACT_LIMIT)
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {text}" for name, text in _flattened(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return sanitize(value, FACT_LIMIT)


# ---- terms ------------------------------------------------------------------------------------------


def terms() -> Markup:
    """The definition of each metric, from the one place where it is declared."""
    entries = [
        h(
            "div",
            None,
            h("dt", None, metric.title),
            h("dd", None, metric.definition),
            h("dd", {"class": "formula"}, metric.formula),
        )
        for metric in METRICS.values()
    ]
    return h("dl", {"class": "terms"}, entries)
