"""The page in a real browser: it draws everything, asks no network, and runs nothing that a server wrote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CURVES = ("head", "ttft", "decode", "output", "ttft-ecdf", "gap-ecdf", "timeline")
# The charts of each page: blocks for each comparison, the curves where a request succeeded, errors where one failed.
PAGES = {
    "head-to-head": ("blocks-0", *CURVES),
    "interrupted": CURVES,
    "failed": ("head", "timeline"),
    "hostile": CURVES,
    "many": ("blocks-0", "blocks-1", *CURVES),
    "ten": ("trend-ttft", "trend-decode", *CURVES[1:]),
    "one": CURVES,
    "clean": ("blocks-0", *CURVES),
    "three": ("blocks-0", "blocks-1", "blocks-2", *CURVES),
    "card-three": (*(f"blocks-{number}" for number in range(5)), *CURVES),
    "card-failures": ("head", "timeline"),
    "card-hostile": CURVES,
}
# What a reader of a phone and of a desktop sees without scrolling.
SIZES = ((1280, 900), (390, 844))
CASES = ("one", "clean", "hostile", "three", "ten", "card-failures")


@dataclass
class Visit:
    """An open page and all it did that it should not have."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def drawn(self) -> dict[str, tuple[int, int]]:
        """For each chart: how many traces it should show, and how many are in the document with a shape."""
        found: dict[str, tuple[int, int]] = self.page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll('.plot')].map(plot => {
                const groups = [...plot.querySelectorAll('.scatterlayer > .trace, .barlayer > .trace')];
                const filled = groups.filter(group =>
                    [...group.querySelectorAll('path')].some(path => (path.getAttribute('d') || '').length > 5));
                return [plot.id, [(plot.data || []).length, filled.length]];
            }))"""
        )
        return {key: (wanted, shown) for key, (wanted, shown) in found.items()}

    def shapes(self, chart: str) -> list[str]:
        return list(
            self.page.evaluate(
                "id => [...document.querySelectorAll(`#${id} .trace path`)].map(path => path.getAttribute('d'))", chart
            )
        )

    def colours(self, chart: str) -> set[str]:
        return set(
            self.page.evaluate(
                "id => [...document.querySelectorAll(`#${id} .lines path`)].map(path => path.style.stroke)", chart
            )
        )


@pytest.fixture(scope="module")
def visit(browser: Any, pages: Path) -> Iterator[Callable[..., Visit]]:
    """Opens a page by name and waits until it is drawn. Loading plotly takes a second or two, so tests that
    leave a page as they found it share it; the others ask for a `fresh` one.
    """
    opened: dict[Any, Visit] = {}

    def open_page(
        name: str, *, width: int = 1280, height: int = 900, theme: str = "dark", fresh: bool = False
    ) -> Visit:
        key = (name, width, theme, len(opened) if fresh else None)
        if key not in opened:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            opened[key] = visited(page, pages / f"{name}.html")
        return opened[key]

    yield open_page
    for seen in opened.values():
        seen.page.close()


def visited(page: Any, path: Path) -> Visit:
    seen = Visit(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("pageerror", lambda error: seen.complaints.append(f"page error: {error}"))
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.goto(path.as_uri())
    page.wait_for_selector("html.drawn", timeout=30_000)
    return seen


@pytest.mark.parametrize("name", PAGES)
def test_every_chart_is_filled_and_nothing_leaves_the_page(name: str, visit: Callable[..., Visit], pages: Path) -> None:
    seen = visit(name)

    drawn = seen.drawn()
    assert set(drawn) == {f"chart-{chart}" for chart in PAGES[name]}
    assert all(wanted == shown > 0 for wanted, shown in drawn.values()), drawn
    assert seen.complaints == []
    outside = [url for url in seen.requests if not url.startswith(("data:", "blob:"))]
    assert outside == [(pages / f"{name}.html").as_uri()]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("hostile", {"pre": "<script>window.hacked=1;alert(1)</script>", "h1": "<b>evil</b></script>"}),
        ("card-hostile", {"main": "<img src=x onerror=window.hacked=20>"}),
    ],
)
def test_what_a_server_wrote_is_shown_and_never_run(
    name: str, shown: dict[str, str], visit: Callable[..., Visit]
) -> None:
    seen = visit(name)
    page = seen.page
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")

    assert all(words in page.inner_text(place) for place, words in shown.items())
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, svg a, a:not([href^='#'])").count() == 0
    assert seen.complaints == []


def test_hover_text_shows_a_hostile_name_literally(visit: Callable[..., Visit]) -> None:
    seen = visit("hostile")

    seen.page.evaluate("Plotly.Fx.hover('chart-ttft', [{curveNumber: 0, pointNumber: 0}])")
    seen.page.evaluate("Plotly.Fx.hover('chart-timeline', [{curveNumber: 4, pointNumber: 0}])")

    assert "<b>evil</b></script><script>" in seen.page.text_content("#chart-ttft .hoverlayer")
    assert '<img src=x onerror="window.hacked=8">[red]' in seen.page.text_content("#chart-timeline .hoverlayer")
    assert seen.page.locator(".hoverlayer a, .hoverlayer img").count() == 0
    assert seen.complaints == []


def test_a_script_that_slipped_in_would_not_run(visit: Callable[..., Visit]) -> None:
    seen = visit("failed", fresh=True)

    seen.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.hacked = true';
            document.body.append(script);
            document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="window.hacked = true">');
        }"""
    )
    seen.page.wait_for_function("document.images[0].complete")

    assert seen.page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in complaint for complaint in seen.complaints)


def test_the_page_is_light_or_dark_as_the_system_is_until_the_reader_chooses(visit: Callable[..., Visit]) -> None:
    ground, blue = "getComputedStyle(document.body).backgroundColor", "rgb(86, 180, 233)"
    light, seen = visit("clean", theme="light"), visit("clean", fresh=True)
    dark = seen.page.evaluate(ground)
    assert light.page.evaluate(ground) != dark
    assert blue in seen.colours("chart-ttft")
    assert not light.colours("chart-ttft") & seen.colours("chart-ttft")

    seen.page.click("#theme")
    seen.page.wait_for_function("document.querySelector('#chart-ttft .lines path').style.stroke === 'rgb(0, 114, 178)'")
    assert seen.page.evaluate(ground) == light.page.evaluate(ground)
    seen.page.reload()
    seen.page.wait_for_selector("html.drawn", timeout=30_000)
    assert seen.page.evaluate(ground) == light.page.evaluate(ground)  # remembered, against the system
    assert seen.complaints == []


def test_the_level_choice_changes_the_timeline_and_the_distributions(visit: Callable[..., Visit]) -> None:
    seen = visit("head-to-head")
    before = {chart: seen.shapes(chart) for chart in ("chart-timeline", "chart-ttft-ecdf", "chart-gap-ecdf")}

    seen.page.select_option("select[data-control=timeline]", label="ollama, concurrency 4")
    seen.page.select_option("select[data-control=concurrency]", label="1")
    seen.page.wait_for_function("document.querySelector('#chart-timeline').data[0].base.length === 12")

    after = {chart: seen.shapes(chart) for chart in before}
    drawn = seen.drawn()
    seen.page.select_option("select[data-control=timeline]", label="lmx, concurrency 16")
    seen.page.select_option("select[data-control=concurrency]", label="16")
    seen.page.wait_for_function("document.querySelector('#chart-timeline').data[0].base.length === 32")

    assert all(after[chart] and after[chart] != before[chart] for chart in before)
    assert all(wanted == shown > 0 for wanted, shown in drawn.values())
    assert {chart: seen.shapes(chart) for chart in before} == before
    assert seen.complaints == []


def test_the_key_hides_a_series_everywhere_and_brings_it_back(visit: Callable[..., Visit]) -> None:
    seen = visit("head-to-head")
    before = seen.drawn()

    seen.page.click("button[data-series='0']")
    seen.page.wait_for_function("document.querySelectorAll('#chart-output .scatterlayer > .trace').length === 1")
    hidden = seen.drawn()
    seen.page.click("button[data-series='0']")
    seen.page.wait_for_function("document.querySelectorAll('#chart-output .scatterlayer > .trace').length === 2")

    assert [hidden[chart][1] for chart in ("chart-ttft", "chart-output", "chart-gap-ecdf")] == [1, 1, 1]
    assert seen.drawn() == before


# ---- measured boxes ----------------------------------------------------------------------------------

BOXES = (
    ".bar > *, h1, .answer, .banner, .trust, nav a, h2, .forest .line > span, figure.chart, .scroll, .control, "
    "summary, .about, ul.plain li, footer"
)
OVERLAPS = """(boxed) => {
    const shown = [...document.querySelectorAll(boxed)].filter(e => e.getClientRects().length);
    const boxes = shown.map(e => [e, e.getBoundingClientRect()]);
    const found = [];
    for (const [a, p] of boxes) for (const [b, q] of boxes) {
        if (a === b || a.contains(b) || b.contains(a) || a.compareDocumentPosition(b) & 2) continue;
        const x = Math.min(p.right, q.right) - Math.max(p.left, q.left);
        const y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (x > 1 && y > 1) found.push(a.outerHTML.slice(0, 60) + ' | ' + b.outerHTML.slice(0, 60));
    }
    return found;
}"""
CUT = """() => [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.scroll table, pre, .key, .modebar') && e.getClientRects().length)
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", CASES)
def test_nothing_overlaps_and_nothing_is_cut(name: str, width: int, height: int, visit: Callable[..., Visit]) -> None:
    page = visit(name, width=width, height=height, fresh=True).page

    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPS, BOXES) == []
    page.close()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", CASES)
def test_the_answer_its_chart_and_the_trust_stand_above_the_fold(
    name: str, width: int, height: int, visit: Callable[..., Visit]
) -> None:
    page = visit(name, width=width, height=height).page
    parts = {".trust", ".head .plot", ".banner" if name == "card-failures" else ".answer"}
    parts |= {".verdict"} if name in ("clean", "three") else set()

    bottoms = {
        part: page.evaluate(f"document.querySelector('{part}').getBoundingClientRect().bottom") for part in parts
    }
    assert all(0 < bottom <= height for bottom in bottoms.values()), bottoms


@pytest.mark.parametrize("name", ["clean", "head-to-head"])
def test_on_a_phone_the_verdict_is_the_first_column_after_the_figure(name: str, visit: Callable[..., Visit]) -> None:
    page = visit(name, width=390, height=844).page
    right = page.evaluate("document.querySelector('#comparison .scroll .chip').getBoundingClientRect().right")

    assert right <= 390


# ---- report cards ------------------------------------------------------------------------------------


def test_cards_are_open_where_they_are_few_and_their_answers_folded(visit: Callable[..., Visit]) -> None:
    one, three = visit("one").page, visit("card-three").page

    assert one.locator("#cards details.card[open]").count() == 1
    assert not one.locator("#cards pre").is_visible()
    one.locator("#cards details:has(> pre) > summary").click()
    assert one.locator("#cards pre").inner_text().startswith("A transformer reads")
    assert three.locator("#cards details.card[open]").count() == 0


def test_nothing_but_failures_is_dashes_with_the_published_figures(visit: Callable[..., Visit]) -> None:
    seen = visit("card-failures")
    text = seen.page.locator("body").inner_text()

    assert "server busy, please try again" in text
    assert "88.9" in text
    assert "NaN" not in text
    assert "None" not in text
    assert seen.complaints == []
