"""A status of HTTP is told once where a failure's kind and reason stand side by side."""

import pytest

from lmx_loadgen.report.view import outcome_name, reason_beside_name


@pytest.mark.parametrize(
    ("outcome", "status", "reason", "words"),
    [
        ("http_error", 500, "HTTP 500: out of memory", "HTTP error 500: out of memory"),
        ("http_error", 503, "HTTP 503", "HTTP error 503: "),
        ("http_error", 429, "HTTP 429: slow down (Retry-After: 5)", "HTTP error 429: slow down (Retry-After: 5)"),
        ("http_error", 500, "server busy", "HTTP error 500: server busy"),
        ("stream_error", 200, "200 slots are taken", "error inside the stream: 200 slots are taken"),
        ("reset", None, None, "connection lost: "),
    ],
)
def test_a_status_is_told_once(outcome: str, status: int | None, reason: str | None, words: str) -> None:
    assert f"{outcome_name(outcome, status)}: {reason_beside_name(outcome, status, reason)}" == words
