"""HTML that is escaped by construction: a plain `str` is text, only `Markup` is markup."""

import html
from collections.abc import Iterable, Mapping
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
