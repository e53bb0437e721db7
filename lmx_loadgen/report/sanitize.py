"""Makes words that came from elsewhere fit to show: no control characters, no endless lengths."""

import html
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"

# Cc: control (ANSI escapes begin with one), Cs: half a surrogate pair, which cannot be written as UTF-8.
_REPLACED_CATEGORIES = frozenset({"Cc", "Cs"})
# Line and paragraph separators, which break lines where a name should stay on one.
_SPACE_CATEGORIES = frozenset({"Zl", "Zp"})
# Characters that turn the reading direction of everything after them.
_DIRECTION_MARKS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def sanitize(text: object, limit: int = 200, *, keep_lines: bool = False) -> str:
    """The text in at most `limit` characters, safe to print on a terminal or to put into a document.

    Control characters, which include the escape that begins every terminal command, and direction marks
    become U+FFFD, so that what was there stays visible. Line breaks and tabs become spaces, or with
    `keep_lines` stay. A text that had to be cut ends in an ellipsis.
    """
    raw = str(text)
    cut = len(raw) > limit
    # Cut before looking at each character: a server may send megabytes.
    shown = "".join(_shown(character, keep_lines) for character in raw[: limit - 1 if cut else limit])
    return shown + ELLIPSIS if cut else shown


def _shown(character: str, keep_lines: bool) -> str:
    if character in "\n\t":
        return character if keep_lines else " "
    if character == "\r":
        return "" if keep_lines else " "
    category = unicodedata.category(character)
    if category in _SPACE_CATEGORIES:
        return " "
    if category in _REPLACED_CATEGORIES or character in _DIRECTION_MARKS:
        return REPLACEMENT
    return character


def unbroken(words: str) -> str:
    """The words with a number and its percent sign kept on one line."""
    return words.replace(" %", "\u00a0%")


def plotly_text(text: object, limit: int = 60) -> str:
    """The text as plotly shows it literally.

    Plotly reads a subset of HTML (`<b>`, `<a href>`, …) in every label and knows few entities: `&quot;` is
    not among them, so quotes stay as they are.
    """
    return html.escape(sanitize(text, limit), quote=False)


def markdown_text(text: object, limit: int = 600) -> str:
    """The text as Markdown shows it literally, also in the cell of a table."""
    shown = sanitize(text, limit)
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#~" else character for character in shown)
