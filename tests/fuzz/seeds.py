"""What the fuzzer starts from: real streams, real files, and the smallest ones that are read."""

import json
from collections.abc import Iterator

from lmx_loadgen.system import package_data
from tests.helpers.paths import DATA

_MOST = 4_096
_BESIDE = ("segment", "end", "host", "resume", "again")


def seeds(entry: str) -> Iterator[bytes]:
    """Inputs that an entry reads without complaint, none of them long."""
    for data in _of(entry):
        if len(data) <= _MOST:
            yield data


def _of(entry: str) -> Iterator[bytes]:
    streams = sorted((DATA / "streams").glob("*/*.http"))
    if entry == "http":
        yield from (path.read_bytes() for path in streams)
    elif entry in ("sse", "answer"):
        yield from (path.read_bytes().partition(b"\r\n\r\n")[2] for path in streams)
        yield b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    elif entry == "profile":
        yield from (path.read_bytes() for path in sorted(package_data.folder("profiles").glob("*.yaml")))
    elif entry == "reference":
        yield b"m: {aliases: [n], ollama: {toks_per_sec: 1, source: s, hardware: h}}\n"
    elif entry == "prompts":
        yield b'{"prompt": "a"}\n{"messages": [{"role": "user", "content": "b"}]}\n'
    elif entry == "log":
        yield from _short_logs()
    elif entry == "result":
        yield from (path.read_bytes() for path in sorted(DATA.glob("*runs/*/result.json")))
    elif entry == "foreign":
        yield b'{"model": "m", "results": [{"ttft_ms": 1, "tok_s": 2}], "summary": {}}'
    yield b"{}"


def _short_logs() -> Iterator[bytes]:
    """A header, two requests and an end of each sample run, those of former versions too."""
    for path in sorted(DATA.glob("*runs/*/events.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["type"] == "request"][:2]
        others = [line for line in lines if json.loads(line)["type"] in ("segment", "end", "host", "resume", "again")][
            :4
        ]
        yield "\n".join([lines[0], *kept, *others, ""]).encode()
