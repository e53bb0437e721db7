"""Writes anew what the pages of `reference/` have from declarations in the code: `python -m tests.docs`."""

from tests.docs.pages import REFERENCE, with_metrics

if __name__ == "__main__":
    page = REFERENCE / "metrics.md"
    page.write_text(with_metrics(page.read_text(encoding="utf-8")), encoding="utf-8")
