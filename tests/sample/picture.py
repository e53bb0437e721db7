"""What a reader sees of a page before scrolling, as a PNG."""

import shutil
from pathlib import Path

from tests.helpers.browsers import BROWSERS, MAC_BROWSERS

WIDTH, HEIGHT = 1280, 900


def take_picture(page: Path, picture: Path) -> None:
    """Store the first screen of the page in a light window. Raises FileNotFoundError without a browser."""
    from playwright.sync_api import sync_playwright

    found = [*filter(None, map(shutil.which, BROWSERS)), *filter(lambda path: Path(path).exists(), MAC_BROWSERS)]
    if not found:
        raise FileNotFoundError("the picture takes Chromium or Chrome, and neither is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        window.goto(page.resolve().as_uri(), wait_until="load")
        window.wait_for_function("[...document.querySelectorAll('.js-plotly-plot')].length > 0")
        picture.parent.mkdir(parents=True, exist_ok=True)
        window.screenshot(path=picture)
        browser.close()
