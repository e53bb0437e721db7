"""What the fuzzer feeds: every reader of what comes from outside, as a function of bytes.

Each entry returns for whatever it is given, or raises one of the package's own errors; anything else is a find.
"""

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pydantic_core

from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.analysis.request_rows import request_rows
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.commands.targets import target_lines
from lmx_loadgen.decode.chat import RawAnswer, StreamRules, read_answer
from lmx_loadgen.decode.sse import Decoder, decode
from lmx_loadgen.decode.tool_calls import read_tool_answer
from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.profile.loading import load_profile
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompts import prompt_book
from lmx_loadgen.session.card.context import context_of
from lmx_loadgen.session.token_counter import token_counter
from lmx_loadgen.store.calibration import path_for, read_calibrations
from lmx_loadgen.store.cards import card_in
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.store.reference import read_reference
from lmx_loadgen.store.result import read_result
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.client import AdminClient
from lmx_loadgen.targets.configured import configured_ports
from lmx_loadgen.targets.found import FoundServer
from lmx_loadgen.targets.inventory import take_inventory
from lmx_loadgen.targets.own import read_own
from lmx_loadgen.targets.recognize import identify
from lmx_loadgen.wire.response import ResponseReader
from lmx_loadgen.wire.timing import Limits, RequestTiming

_RULES = [dialect.rules for dialect in DIALECTS.values()]


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def _cuts(data: bytes) -> list[bytes]:
    """The bytes in pieces, cut at places that they say themselves."""
    step = 1 + (data[0] if data else 0) % 17
    return [data[start : start + step] for start in range(0, len(data), step)]


def sse(data: bytes) -> None:
    """Pieces and whole give the same items."""
    decoder = Decoder()
    in_pieces = [item for piece in _cuts(data) for item in decoder.feed(piece)]
    assert in_pieces == list(decode(data))


def answer(data: bytes) -> None:
    """A body as an answer, by the rules of some server."""
    rules: StreamRules = _RULES[len(data) % len(_RULES)]
    pieces = _cuts(data)
    arrivals = [(1000 * place, len(piece)) for place, piece in enumerate(pieces)]
    for endpoint in ("chat", "completions"):
        read = read_answer(RawAnswer(200, [], data, arrivals), endpoint, rules)
        assert all(0 <= event[0] < max(1, len(read.arrivals)) for event in read.events)
    read_answer(RawAnswer(200, [("content-encoding", "gzip")], data, arrivals), "chat", rules)
    read_answer(RawAnswer(503, [("retry-after", "x"), ("location", "y")], data, arrivals), "chat", rules)
    read_tool_answer(data)


def http(data: bytes) -> None:
    """Bytes off a socket, read by read; then the end of the connection, and what is left as an answer."""
    timing = RequestTiming(send_ns=1)
    exchange = ResponseReader(_loop(), timing, Limits())
    for place, piece in enumerate(_cuts(data)):
        exchange.feed(piece, 1 + place)
    exchange.feed_eof(None if len(data) % 2 else ConnectionResetError("reset"))
    assert exchange.ended.done()
    assert sum(timing.arrival_bytes) == len(timing.body)
    headers = [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in timing.headers]
    arrivals = list(zip(timing.arrival_ns, timing.arrival_bytes, strict=True))
    read_answer(RawAnswer(timing.status, headers, bytes(timing.body), arrivals, timing.failure), "chat", _RULES[0])


def server(data: bytes) -> None:
    """A server that answers every question alike: who it is, what it has, and what is shown of it."""
    kinds = list(DIALECTS.values())
    whole = httpx.Response(200, content=data, headers={"Server": ("llama.cpp", "BaseHTTP", "x")[len(data) % 3]})

    async def look() -> None:
        transport = httpx.MockTransport(lambda request: whole)
        async with httpx.AsyncClient(transport=transport) as connection:
            client = AdminClient(connection, "http://127.0.0.1:1/v1", {"X-Admin-Key": "k"})
            identity = await identify(client)
            found = await take_inventory(client, identity, kinds[len(data) % len(kinds)])
            shown = FoundServer("s", client.base_url, kinds[len(data) % len(kinds)], identity, found)
            assert "\x1b" not in "\n".join(target_lines([shown])) + str(shown.as_row())
            await context_of(client, "m")

    _loop().run_until_complete(look())


def _configured(path: Path) -> None:
    configured_ports({}, path.parents[2])


def _file(read: Callable[[Path], object], name: str) -> Callable[[bytes], None]:
    def entry(data: bytes) -> None:
        path = _folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        with contextlib.suppress(LoadgenError):
            read(path)

    return entry


def _prompts(path: Path) -> None:
    prompt_book(Prompts(file=str(path)), path.parent)


def _log(path: Path) -> None:
    run = read_run(path)
    summarize(run)
    list(request_rows(run))


def _json(path: Path) -> object:
    with contextlib.suppress(ValueError):
        return pydantic_core.from_json(path.read_bytes())
    return None


def _foreign(path: Path) -> None:
    results_in(_json(path), "file.json")
    BenchmarkResultStore(path.parent).load_all()


ENTRIES: dict[str, Callable[[bytes], None]] = {
    "sse": sse,
    "answer": answer,
    "http": http,
    "profile": _file(lambda path: load_profile(str(path)), "fuzz.yaml"),
    "reference": _file(read_reference, "reference.yaml"),
    "prompts": _file(_prompts, "prompts.jsonl"),
    "tokenizer": _file(lambda path: token_counter(str(path), path.parent)("some text"), "tokenizer.json"),
    "log": _file(_log, "events.jsonl"),
    "result": _file(lambda path: read_result(path.parent), "run/result.json"),
    "calibration": _file(lambda path: read_calibrations(path.parent, "fuzz"), f"c/{path_for(Path(), 'fuzz').name}"),
    "foreign": _file(_foreign, "plan/one.json"),
    "server": server,
    "targets": _file(read_own, "targets.json"),
    "configured": _file(_configured, ".lmstudio/.internal/http-server-config.json"),
    "card": _file(lambda path: card_in(_json(path)), "card.json"),
}
