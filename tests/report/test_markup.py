import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.formats import duration, milliseconds, plural, rate
from lmx_loadgen.report.markup import Markup, h, join
from lmx_loadgen.report.sanitize import plotly_text, sanitize


@given(st.text(alphabet=st.characters(codec=None)), st.integers(min_value=1, max_value=50))
def test_sanitised_text_is_short_printable_and_writable(text: str, limit: int) -> None:
    shown = sanitize(text, limit)

    assert len(shown) <= limit
    assert not any(ord(c) < 32 or 0x7F <= ord(c) <= 0x9F for c in shown)
    shown.encode("utf-8")


def test_an_escape_sequence_loses_its_escape_and_stays_visible() -> None:
    assert sanitize("\x1b[31mred") == "�[31mred"


def test_direction_marks_are_shown_not_obeyed() -> None:
    assert sanitize("a\u202eb\u2066c") == "a�b�c"


def test_a_long_text_says_that_it_was_cut() -> None:
    assert sanitize("x" * 11, 10) == "x" * 9 + "…"
    assert sanitize("x" * 10, 10) == "x" * 10


def test_line_breaks_become_spaces_unless_lines_are_kept() -> None:
    assert sanitize("a\nb\tc\r\u2028d") == "a b c  d"
    assert sanitize("a\r\nb", keep_lines=True) == "a\nb"


def test_plotly_text_escapes_tags_but_not_quotes() -> None:
    # Plotly would show `&quot;` as it is written.
    assert plotly_text('<a href="x">&amp;') == '&lt;a href="x"&gt;&amp;amp;'


def test_a_child_string_is_text_and_markup_stays_markup() -> None:
    built = h("p", {"title": '"<>', "hidden": None}, "<b>", Markup("<i>ok</i>"), None, ["&", h("br")])

    assert built == '<p title="&quot;&lt;&gt;">&lt;b&gt;<i>ok</i>&amp;<br></p>'


@given(st.text())
def test_no_text_can_open_a_tag(text: str) -> None:
    assert "<" not in join(text)
    assert '"' not in h("p", {"title": text}).removeprefix('<p title="').removesuffix('"></p>')


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "—"),
        (0.0, "0.0"),
        (0.00421, "4.2"),
        (0.00999, "10"),
        (0.1824, "182"),
        (1.2345, "1,234"),
        (60.0, "60,000"),
    ],
)
def test_milliseconds(seconds: float | None, shown: str) -> None:
    assert milliseconds(seconds) == shown


@pytest.mark.parametrize(("value", "shown"), [(None, "—"), (0.0, "0.0"), (48.26, "48.3"), (1234.5, "1,234.5")])
def test_rate(value: float | None, shown: str) -> None:
    assert rate(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "—"), (0.85, "850 ms"), (12.34, "12.3 s"), (99.96, "1 min 40 s"), (245, "4 min 05 s")]
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_plural() -> None:
    assert [plural(0, "error"), plural(1, "error"), plural(1200, "error")] == ["0 errors", "1 error", "1,200 errors"]
