"""The sample runs, the pages drawn from them, and the machine's own browser to open the pages in."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis import measured_run
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.report.view import Series, series_of
from lmx_loadgen.store.reference import NAME, read_reference
from lmx_loadgen.store.result import read_result
from lmx_loadgen.system import package_data
from tests.helpers import make_cards
from tests.helpers.browsers import BROWSERS, MAC_BROWSERS
from tests.helpers.paths import RUNS

# Pages with all that a report shows: one target, a clean head-to-head, three targets in one run, three runs of two
# models on four targets, nothing but failures, and a server that writes markup.
CARD_PAGES = {
    "one": ("one",),
    "clean": ("first",),
    "three": ("second",),
    "card-three": make_cards.THREE,
    "card-failures": ("failures",),
    "card-hostile": ("hostile",),
}


def read_run(name: str, label: str | None = None) -> RunView:
    folder = RUNS / name
    return RunView(read_result(folder), measured_run.read_run(folder / "events.jsonl"), label or name)


def on_day(day: int) -> RunView:
    """The head-to-head as if it had been run on that day of November."""
    run = read_run("head-to-head", f"{day} Nov")
    changed = {"run_id": str(day), "started_at": f"2026-11-{day}T10:00:00Z", "comparisons": []}
    return replace(run, result=run.result.model_copy(update=changed))


@pytest.fixture
def load_run() -> Callable[..., RunView]:
    """Reads a sample run by its folder's name."""
    return read_run


@pytest.fixture
def head_to_head() -> list[Series]:
    return series_of([read_run("head-to-head")])


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one page a sample run, and `many.html` with several runs; and those of CARD_PAGES."""
    from lmx_loadgen.report.page import build_page

    folder = tmp_path_factory.mktemp("pages")
    for name in ("head-to-head", "interrupted", "failed", "hostile"):
        (folder / f"{name}.html").write_text(build_page([read_run(name)]), encoding="utf-8")
    several = [
        read_run("head-to-head", "22 Nov"),
        read_run("head-to-head", "23 Nov"),
        read_run("failed"),
        read_run("hostile"),
    ]
    (folder / "many.html").write_text(build_page(several), encoding="utf-8")
    (folder / "ten.html").write_text(build_page([on_day(day) for day in range(10, 20)]), encoding="utf-8")
    reference = read_reference(package_data.folder("reference") / NAME)
    for name, runs in CARD_PAGES.items():
        page = build_page(make_cards.views(folder, *runs), reference=reference)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")  # while it is open, its event loop is in the way of every other
def browser() -> Iterator[Any]:
    """A headless Chromium. Skips where there is none, except on CI, where that is a failure."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    found = found or next((path for path in MAC_BROWSERS if Path(path).exists()), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium or Chrome found, and the page tests must run on CI")
        pytest.skip("no Chromium or Chrome found")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()
