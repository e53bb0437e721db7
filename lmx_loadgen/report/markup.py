"""HTML that is escaped by construction: a plain `str` is text, only `Markup` is markup.

Elements that every part of the page uses stand here too: tables with their rows and cells, paragraphs, chips.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from lmx_loadgen.report.sanitize import sanitize

Child: TypeAlias = "str | Iterable[Child] | None"

_VOID = frozenset({"meta", "link", "br"})
_NO_LIMIT = 1_000_000


class Markup(str):
    """A piece of finished HTML. Whoever builds one from strings other than literals answers for it."""

    __slots__ = ()


def h(tag: str, attributes: Mapping[str, str | None] | None = None, *children: Child) -> Markup:
    """An element. Text and attribute values are escaped; an attribute of `None` is left out."""
    shown = "".join(
        f' {name}="{html.escape(sanitize(value, _NO_LIMIT))}"'
        for name, value in (attributes or {}).items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{shown}>")
    return Markup(f"<{tag}{shown}>{join(children)}</{tag}>")


def join(children: Child) -> Markup:
    """The children one after the other, texts escaped, `None` left out."""
    if children is None:
        return Markup()
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return Markup(html.escape(sanitize(children, _NO_LIMIT, keep_lines=True)))
    return Markup("".join(join(child) for child in children))


# ---- what every part of the page uses ---------------------------------------------------------------

NUMBER = {"class": "num"}


def boxed_table(caption: str, head: Sequence[Child], rows: Iterable[Markup]) -> Markup:
    """A table in a box of its own, which scrolls sideways by itself where it does not fit."""
    return grouped_table(caption, head, [h("tbody", None, rows)])


def grouped_table(caption: str, head: Sequence[Child], bodies: Iterable[Markup]) -> Markup:
    """The same with a body for each group of rows."""
    return h(
        "div",
        {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption},
        h("table", None, h("caption", None, h("span", None, caption)), h("thead", None, row(*head)), bodies),
    )


def column(name: str, unit: str = "", *, number: bool = False) -> Markup:
    """A column's heading, its unit below the name."""
    return h(
        "th",
        {"scope": "col", "class": "num" if number else None},
        name,
        h("small", None, unit) if unit else None,
    )


def row(*cells: Child) -> Markup:
    """A row of a table."""
    return h("tr", None, cells)


def number_cells(values: Iterable[str]) -> list[Markup]:
    """A cell for each of these numbers."""
    return [h("td", NUMBER, value) for value in values]


def about(words: Child) -> Markup:
    """A paragraph of explanation."""
    return h("p", {"class": "about"}, words)


def chip(words: str, kind: str = "") -> Markup:
    """A word in a box; `bad` and `warn` color it."""
    return h("span", {"class": f"chip {kind}".strip()}, words)


def banner(kind: str, words: str) -> Markup:
    """A sentence to read before any figure."""
    return h("p", {"class": f"banner {kind}", "role": "note"}, words)
