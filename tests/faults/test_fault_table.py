"""Everything a server can do wrong, one row a fault: what the event log then says, and how soon.

Each row goes through the tool itself over a real socket: a measuring process, the log, the result. The simulator does
what the row names; what it cannot do (no server, no name, TLS) has rows of its own below.
"""

import asyncio
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.load import driver
from lmx_loadgen.sim.faults import responses
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.system.clock import NS
from tests.helpers.cli import lmx_loadgen
from tests.helpers.hostile_server import answering, as_json, chunk, stream
from tests.helpers.paths import ROOT
from tests.helpers.pipeline import Pipeline, pipeline, target_at
from tests.helpers.scripted import HEAD, Script, Scripted, chunked, delta, serving

Line = dict[str, Any]
SOON = 0.25  # seconds: the limits that a row is meant to run into
# What a busy machine may add to any wait; no limit that a row does not name is as near as this.
SLACK_S = 10.0


def text_of(line: Line) -> str:
    return "".join(text for _, kind, text in line["events"] if kind == "content")


def words_in(line: Line) -> int:
    return sum(1 for event in line["events"] if event[1] == "content")


@dataclass(frozen=True)
class Row:
    """A fault and what comes of it: outcome, status, words of the reason, and the limit (a name of the profile's
    timeouts) that ends the request where nothing else does."""

    fault: str
    outcome: str
    words: str | None = None
    status: int | None = 200
    limit: str | None = None
    check: Callable[[Line], object] = field(default=lambda line: True)
    dialect: str = "openai"

    def __str__(self) -> str:
        return self.fault if self.dialect == "openai" else f"{self.fault}-{self.dialect}"


FAILED = "Stream inference failed: the simulator is set to fail"
UNFRAMED = "the answer ended before its framing said it would"

TABLE = [
    # Before the answer
    Row("reset_before_headers", "reset", "connection lost: .*[Rr]eset", None),
    Row("close_before_headers", "reset", "closed the connection without answering", None),
    Row("garbage_http", "protocol_error", "not HTTP", None),
    Row("endless_headers", "protocol_error", "response headers over 256 KB", None),
    Row("endless_interim", "protocol_error", "response headers over 256 KB", None),
    Row("interim_100", "ok", check=lambda line: words_in(line) == 6),
    Row("interim_103", "ok", check=lambda line: words_in(line) == 6),
    # Statuses
    Row("redirect_302", "http_error", "HTTP 302: redirects to /v1/models, which is not followed", 302),
    Row("http_400", "http_error", "HTTP 400: The request is invalid", 400),
    Row("http_401", "http_error", "HTTP 401: Invalid API key", 401),
    Row("http_403", "http_error", "HTTP 403: Not allowed", 403),
    Row("http_404", "http_error", "HTTP 404: Not found", 404),
    Row("http_408", "http_error", "HTTP 408: Request timeout", 408),
    Row("http_409", "http_error", "HTTP 409: Conflict", 409),
    Row("http_422", "http_error", "HTTP 422: Unprocessable", 422),
    Row("http_429", "http_error", r"HTTP 429: Too many requests\.$", 429),
    Row("http_429_retry_after", "http_error", r"HTTP 429: Too many requests\. \(Retry-After: 2\)", 429),
    Row("http_500", "http_error", "HTTP 500: Internal server error", 500),
    Row("http_502_html", "http_error", "HTTP 502: Bad Gateway$", 502),
    Row("http_503", "http_error", "HTTP 503: Service unavailable", 503),
    Row("http_504", "http_error", "HTTP 504: Gateway timeout", 504),
    # Silence, and talk without end
    Row("stall_first_token", "first_token_timeout", "no token after 0.25 s", limit="first_token"),
    Row("stall_mid", "gap_timeout", "silent for 0.25 s", limit="gap", check=lambda line: words_in(line) == 3),
    Row("endless_pings", "first_token_timeout", "no token after 0.25 s", limit="first_token"),
    Row("drip", "first_token_timeout", "no token after 0.25 s", limit="first_token"),
    Row("endless_stream", "request_timeout", "not finished after 0.25 s", limit="request"),
    # Ends that are none
    Row("reset_mid", "reset", "connection lost: .*[Rr]eset", check=lambda line: words_in(line) == 3),
    Row("truncated", "truncated", UNFRAMED, check=lambda line: words_in(line) == 3),
    Row("half_close", "truncated", UNFRAMED, check=lambda line: words_in(line) == 3),
    Row("clean_end", "incomplete", "ended without a finish_reason", check=lambda line: words_in(line) == 3),
    Row("wrong_chunk_length", "protocol_error", "not HTTP: Expected LF after chunk data"),
    # The whole answer came before the framing went wrong: it is an answer.
    Row("wrong_content_length", "ok", check=lambda line: words_in(line) == 6),
    Row("missing_terminator", "ok", check=lambda line: words_in(line) == 6),
    Row("missing_done", "ok", check=lambda line: line["finish_reason"] == "length"),
    # Bodies that are odd
    Row("gzip_body", "ok", check=lambda line: words_in(line) == 6),
    Row("garbage_sse", "protocol_error", "not an event stream: This is not an event stream"),
    Row("invalid_utf8", "ok", check=lambda line: "\ufffd" in text_of(line)),
    Row("split_utf8", "ok", check=lambda line: "🙂" in text_of(line) and "\ufffd" not in text_of(line)),
    Row("one_byte", "ok", check=lambda line: words_in(line) == 6),
    Row("big_event", "ok", check=lambda line: len(text_of(line)) > 1_000_000),
    Row(
        "many_events",
        "ok",
        check=lambda line: words_in(line) == 10_005 and len({event[0] for event in line["events"]}) < 10_000,
    ),
    # Errors in a 200, and answers without a word
    Row("stream_error", "stream_error", FAILED),
    Row("error_object", "stream_error", FAILED, check=lambda line: words_in(line) == 3),
    Row("error_then_done", "stream_error", FAILED),
    Row("error_event", "stream_error", FAILED),
    Row("error_text", "stream_error", FAILED, check=lambda line: words_in(line) == 3, dialect="lmx"),
    Row("error_text", "ok"),  # of a server that does not say so, these are words like any others
    Row("empty_stream", "incomplete", "the stream was empty"),
    Row("bare_done", "empty", r"no text \(no finish_reason\)"),
    Row("no_text", "empty", r"no text \(finish_reason stop\)"),
    # Usage without sense: kept as it came, and no figure is made of it
    Row("usage_negative", "ok", check=lambda line: line["usage"]["completion_tokens"] == -1),
    Row("usage_strings", "ok", check=lambda line: line["usage"]["completion_tokens"] == "8"),
    Row("usage_missing", "ok", check=lambda line: line["usage"] is None),
]


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None, fault_seconds=60.0)) as running:
        yield running


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipeline(tmp_path_factory.mktemp("faults")) as running:
        yield running


def only(log: LogContents) -> Line:
    (line,) = log.requests
    return line


def seconds_of(line: Line) -> float:
    began = line["intended_ns"] if line["send_ns"] is None else line["send_ns"]
    return (line["end_ns"] - began) / NS


def agrees(log: LogContents) -> None:
    """The result accounts for the request once, and says of a failure what the log says."""
    line, result = only(log), summarize(MeasuredRun(log))
    level = result.targets[0].levels[0]
    counts = level.requests
    assert (counts.sent, counts.ok + counts.failed + counts.cancelled) == (1, 1)
    assert counts.ok == (line["outcome"] == "ok")
    if line["outcome"] != "ok":
        assert [(e.outcome, e.status, e.reason) for e in level.errors] == [
            (line["outcome"], line["status"], line["reason"])
        ]
        assert level.metrics["ttft"].p50 is None


def test_the_table_has_a_row_for_every_fault() -> None:
    assert {row.fault for row in TABLE} == set(responses.REPLACED | responses.BENT)  # the others: test_odd_answers


def marks_of(row: Row) -> list[pytest.MarkDecorator]:
    """A busy machine may reach a limit that is so near before the server gets as far as the row says."""
    return [pytest.mark.timing] if row.limit else []


@pytest.mark.parametrize("row", [pytest.param(row, id=str(row), marks=marks_of(row)) for row in TABLE])
def test_fault(row: Row, sim: SimProcess, tool: Pipeline) -> None:
    target = target_at(sim.base_url, {"X-Sim": json.dumps({"fault": row.fault})}, row.dialect)
    log = tool.record(target, {row.limit: SOON} if row.limit else {})
    line = only(log)

    assert (line["outcome"], line["status"]) == (row.outcome, row.status), line["reason"]
    if row.words is None:
        assert line["reason"] is None
    else:
        assert re.search(row.words, line["reason"]), line["reason"]
        assert line["reason"].isprintable()
    assert row.check(line), line["events"][:20]
    assert seconds_of(line) <= (SOON if row.limit else 0) + SLACK_S
    assert row.limit is None or seconds_of(line) >= SOON
    agrees(log)
    # Whatever happened, the slot is fit for the next request.
    after = only(tool.record(target_at(sim.base_url)))
    assert (after["outcome"], words_in(after)) == ("ok", 6), after["reason"]


@pytest.mark.parametrize("usage", ["usage_negative", "usage_strings", "usage_missing"])
def test_usage_without_sense_is_no_count_of_tokens(usage: str, sim: SimProcess, tool: Pipeline) -> None:
    log = tool.record(target_at(sim.base_url, {"X-Sim": usage}), requests=3)
    level = summarize(MeasuredRun(log)).targets[0].levels[0]

    assert level.requests.ok == 3
    assert level.token_basis != "usage"
    assert level.tokens.usage.output is None


# No server, no name, no trust


def test_refused(tool: Pipeline, unused_port: int) -> None:
    log = tool.record(target_at(f"http://127.0.0.1:{unused_port}/v1"))
    line = only(log)

    assert (line["outcome"], line["status"], line["send_ns"]) == ("connect_error", None, None)
    assert "refused" in line["reason"].lower()
    assert seconds_of(line) <= SLACK_S
    agrees(log)


def test_a_name_that_nobody_knows(tool: Pipeline) -> None:
    log = tool.record(target_at("http://no-such-host.invalid/v1"), {"connect": 2.0})
    line = only(log)

    # A machine without a resolver within reach finds out no sooner than the limit.
    assert line["outcome"] in ("connect_error", "connect_timeout")
    assert re.search("not known|nodename|failure in name|no connection after 2 s", line["reason"]), line["reason"]
    assert seconds_of(line) <= 2.0 + SLACK_S
    agrees(log)


def test_a_server_that_never_takes_the_connection(tool: Pipeline) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        log = tool.record(
            target_at(f"http://127.0.0.1:{full.getsockname()[1]}/v1"), {"connect": SOON, "first_token": 1}
        )
        for one in waiting:
            one.close()
    line = only(log)

    # Linux drops what does not fit its queue; macOS may take it and say nothing.
    assert line["outcome"] in ("connect_timeout", "first_token_timeout")
    assert seconds_of(line) <= 1 + SLACK_S


@contextmanager
def serving_in_a_thread(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # handshakes that the client breaks off
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = serving(*scripts, tls=tls)
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


FINISH = b'data: {"id":"a","choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ANSWER: Script = [HEAD, chunked(delta("a"), delta("b"), FINISH)]
AUTHORITY = trustme.CA()


def certified(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize(
    ("name", "trusts", "insecure", "words"),
    [
        ("localhost", False, False, "TLS: .*certificate verify failed: unable to get local issuer"),
        ("elsewhere.example", True, False, "TLS: .*certificate verify failed: [Hh]ostname mismatch"),
        ("localhost", True, False, None),
        ("localhost", False, True, None),
        ("elsewhere.example", False, True, None),
    ],
    ids=["unknown-authority", "another-name", "ca-file", "insecure", "insecure-another-name"],
)
def test_tls(name: str, trusts: bool, insecure: bool, words: str | None, tool: Pipeline, ca_file: str) -> None:
    with serving_in_a_thread(ANSWER, tls=certified(name)) as server:
        target = target_at(f"https://localhost:{server.port}/v1")
        log = tool.record(target, insecure=insecure, ca_file=ca_file if trusts else None)
    line = only(log)

    assert line["outcome"] == ("ok" if words is None else "connect_error"), line["reason"]
    assert words is None or re.search(words, line["reason"]), line["reason"]
    assert len(server.requests) == (words is None)
    agrees(log)


def test_no_tls_where_it_was_expected(tool: Pipeline) -> None:
    with serving_in_a_thread(ANSWER) as server:
        line = only(tool.record(target_at(f"https://localhost:{server.port}/v1"), {"connect": 0.5}))

    assert line["outcome"] in ("connect_error", "connect_timeout")
    assert line["send_ns"] is None


@pytest.mark.parametrize("flags", [["--insecure"], ["--ca-file"]])
def test_a_certificate_that_is_not_trusted_says_what_to_do_and_then_is(
    flags: list[str], tmp_path: Path, ca_file: str
) -> None:
    flags = flags if flags == ["--insecure"] else [*flags, ca_file]
    models, said = as_json({"data": [{"id": "m"}]}), stream(chunk({"content": "a"}), chunk({"content": "b"}, "stop"))
    by_path = {"/v1/models": models, "/v1/chat/completions": said}
    unknown = as_json({"error": "not found"}, 404)
    with answering(lambda asked: by_path.get(asked.path, unknown), tls=certified("localhost")) as url:
        run = ["run", "-t", f"box={url}", "-n", "2", "-c", "1", "--no-calibrate", "--warmup", "0"]
        run += ["--out", str(tmp_path)]
        refused = lmx_loadgen(*run)
        done = lmx_loadgen(*run, *flags)

    assert refused.exit_code == 10
    assert "is not trusted" in refused.stderr
    assert "--ca-file, or use --insecure" in refused.stderr
    assert done.exit_code == 0, done.output


# The clock


@pytest.mark.timing
def test_a_clock_that_is_stepped_during_the_run_moves_no_time(
    sim: SimProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "WORKER", "tests.helpers.stepping_worker")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pipeline(tmp_path) as tool:
        log = tool.record(target_at(sim.base_url), requests=10, tokens=20)
    result = summarize(MeasuredRun(log))

    assert [line["outcome"] for line in log.requests] == ["ok"] * 10
    for line in log.requests:
        times = [at_ns for at_ns, _ in line["arrivals"]]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= line["end_ns"] - line["send_ns"]
        # A token a millisecond after two: no stamp lies seconds, or the length of the answer, away.
        assert 1_000_000 <= times[0] < times[-1]
    assert result.started_at[:13] == result.ended_at[:13] or result.started_at < result.ended_at
