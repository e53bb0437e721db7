"""The page in a real browser: it draws everything, asks no network, and runs nothing that a server wrote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CARDS = ("card-one", "card-three", "card-failures", "card-hostile")
CURVES = ("ttft", "decode", "output", "ttft-ecdf", "gap-ecdf", "timeline")
# The charts of each page: a pair for each comparison, the curves where a request succeeded, errors where one failed.
PAGES = {
    "head-to-head": ("forest-0", "blocks-0", *CURVES, "errors"),
    "interrupted": CURVES,
    "failed": ("timeline", "errors"),
    "hostile": (*CURVES, "errors"),
    "many": ("forest-0", "blocks-0", "forest-1", "blocks-1", *CURVES, "errors"),
    "card-one": CURVES,
    "card-three": (*(f"{kind}-{number}" for kind in ("forest", "blocks") for number in range(5)), *CURVES),
    "card-failures": ("timeline", "errors"),
    "card-hostile": CURVES,
}


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

    def open_page(name: str, *, width: int = 1280, fresh: bool = False) -> Visit:
        key = (name, width, len(opened) if fresh else None)
        if key not in opened:
            opened[key] = visited(browser.new_page(viewport={"width": width, "height": 900}), pages / f"{name}.html")
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


def test_what_a_server_wrote_is_shown_and_never_run(visit: Callable[..., Visit]) -> None:
    seen = visit("hostile")
    page = seen.page
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")

    assert page.inner_text("pre").startswith("<script>window.hacked=1;alert(1)</script>")
    assert "<b>evil</b></script>" in page.inner_text("h1")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, svg a, main a").count() == 0
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


def test_the_light_switch_changes_page_and_charts_and_back(visit: Callable[..., Visit]) -> None:
    seen = visit("head-to-head")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = (seen.page.evaluate(ground), seen.colours("chart-ttft"))

    seen.page.click("#theme")
    seen.page.wait_for_function("document.querySelector('#chart-ttft .lines path').style.stroke === 'rgb(0, 114, 178)'")
    light = (seen.page.evaluate(ground), seen.colours("chart-ttft"))
    seen.page.click("#theme")
    seen.page.wait_for_function(
        "document.querySelector('#chart-ttft .lines path').style.stroke === 'rgb(86, 180, 233)'"
    )

    assert dark[0] != light[0]
    assert not dark[1] & light[1]
    assert (seen.page.evaluate(ground), seen.colours("chart-ttft")) == dark
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


def test_a_phone_shows_it_without_sideways_scrolling(visit: Callable[..., Visit]) -> None:
    page = visit("hostile", width=390).page

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.main-svg')].map(e => e.getBoundingClientRect().right))"
    )
    assert widest <= 390
    box = page.evaluate(
        "(() => { const e = document.querySelector('.scroll'); return [e.clientWidth, e.scrollWidth]; })()"
    )
    assert box[0] < box[1], "the table should scroll inside its own box"


# ---- report cards ------------------------------------------------------------------------------------


def summary_of(page: Any) -> list[list[str]]:
    """The plan's table, cell by cell, as a reader sees it."""
    rows: list[list[str]] = page.evaluate(
        """() => [...document.querySelectorAll('#summary tbody tr')].map(
            row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ').trim()))"""
    )
    return rows


def overflowing(page: Any) -> list[str]:
    """What sticks out of the window on the right without being in a box that scrolls by itself."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('#summary *, #cards *')]
            .filter(e => !e.closest('.scroll table') && !e.closest('pre'))
            .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
            .map(e => e.outerHTML.slice(0, 80))"""
    )
    return found


def test_one_run_has_one_open_card_with_all_its_parts(visit: Callable[..., Visit]) -> None:
    page = visit("card-one").page

    (row,) = summary_of(page)
    assert row[0] == "mlx-community/ Qwen2.5-7B-Instruct-4bit"
    assert row[2:4] == ["66.1 not exact", "179"]
    assert row[4:6] == [
        "101.9 tok/s published, M4 Max",
        "88.9 tok/s published, same chip",
    ]  # chunks are not held against tokens
    assert row[6:] == ["1 of 4", "1 of 2", "ok 94 %, repetitive 5.9 %"]
    assert page.locator("details.report[open]").count() == 1
    headings = page.locator(".report h4").all_inner_texts()
    assert headings[:2] == ["Hypothesis", "Results"]
    assert len(headings) == len(set(headings)) == 6
    assert not page.locator(".report pre").is_visible()
    page.locator(".report details:has(pre) > summary").click()
    assert page.locator(".report pre").inner_text().startswith("A transformer reads")
    page.locator(".report details:has(pre) > summary").click()


def test_three_runs_have_a_folded_card_a_model_and_backend_and_a_trend(visit: Callable[..., Visit]) -> None:
    page = visit("card-three").page

    rows = summary_of(page)
    assert [row[1] for row in rows] == ["lmx", "ollama", "lmstudio", "lmx", "llamacpp"]
    assert rows[0][5].startswith("+19 % tok/s inconclusive TTFT")
    assert rows[4][4] == "—"
    strong = page.locator("#summary td strong").all_inner_texts()
    assert [words.replace("\u00a0", " ") for words in strong] == ["+19 % tok/s", "+16 % TTFT", "−14 % TTFT"]
    assert page.locator("details.report[open]").count() == 0
    card = page.locator("details.report").first
    card.locator("> summary").click()
    card.locator("summary", has_text="1 earlier run").click()
    assert card.locator(".trend svg circle").count() == 4
    box = card.locator(".trend svg").first.bounding_box()
    assert box["width"] > 150
    assert box["height"] > 20
    stroke = "getComputedStyle(document.querySelector('.trend path')).stroke"
    assert page.evaluate(stroke) == "rgb(86, 180, 233)"
    card.locator("> summary").click()


def test_nothing_but_failures_is_a_card_of_dashes_with_the_published_figures(visit: Callable[..., Visit]) -> None:
    seen = visit("card-failures")
    page = seen.page

    (row,) = summary_of(page)
    assert row[2:] == ["—", "—", "71.7 tok/s published, M4 Max", "—", "0 of 1", "—", "—"]
    assert page.locator(".report > summary").inner_text().split("\n")[-1] == "no answer"
    assert "insufficient data" in page.locator(".report > summary").inner_text()
    text = page.locator("#cards").inner_text()
    assert "server busy, please try again" in text
    assert "88.9" in text
    assert "NaN" not in text
    assert "None" not in text
    assert seen.complaints == []


@pytest.mark.parametrize("name", CARDS)
def test_cards_fit_on_a_phone_opened_or_not(name: str, visit: Callable[..., Visit]) -> None:
    page = visit(name, width=390).page

    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert overflowing(page) == []


def test_what_a_server_said_in_a_check_is_shown_and_never_run(visit: Callable[..., Visit]) -> None:
    seen = visit("card-hostile")
    page = seen.page
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")

    assert page.locator("#cards").inner_text().count("<img src=x onerror=window.hacked=20>") >= 8
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, svg a, main a").count() == 0
    assert seen.complaints == []
