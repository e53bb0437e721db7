"""Recorded answers of real servers, taken apart as the transport would have."""

import json

import httptools

from lmx_loadgen.decode.chat import RawAnswer
from tests.helpers.paths import STREAMS

READS = json.loads((STREAMS / "reads.json").read_text())
# How the transport calls an answer that was not whole when the recording ended so.
_CUT_OFF = {
    "eof": ("truncated", "the answer ended before its framing said it would"),
    "timeout": ("gap_timeout", "silent for 60 s"),
    "client_closed": ("cancelled", "the run was stopped"),
}


class _Parsed:
    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode().lower(), value.decode("latin-1")))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.whole = True


def recorded(name: str) -> RawAnswer:
    """The recorded answer `<server>/<name>`, read by read as it once came in."""
    raw = (STREAMS / f"{name}.http").read_bytes()
    parsed = _Parsed()
    parser = httptools.HttpResponseParser(parsed)
    arrivals: list[tuple[int, int]] = []
    start = 0
    for at_ns, size in READS[name]["reads"]:
        before = len(parsed.body)
        parser.feed_data(raw[start : start + size])
        start += size
        if len(parsed.body) > before:
            arrivals.append((at_ns, len(parsed.body) - before))
    framed = any(header in ("content-length", "transfer-encoding") for header, _ in parsed.headers)
    failure = _CUT_OFF[READS[name]["end"]] if framed and not parsed.whole else None
    return RawAnswer(parser.get_status_code(), parsed.headers, bytes(parsed.body), arrivals, failure)
