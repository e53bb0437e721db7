"""Broken HTTP, broken bytes, stalls, and streams that end where they should not."""

import gzip
from functools import partial
from random import Random

from lmx_loadgen.sim.answer import Reply
from lmx_loadgen.sim.dialects.base import DONE
from lmx_loadgen.sim.exchange import Exchange, Groups
from lmx_loadgen.sim.faults.base import MESSAGE, Fault, in_mid_stream, seconds_from_now
from lmx_loadgen.sim.faults.endings import missing_done
from lmx_loadgen.sim.faults.errors import ERROR, fail_with
from lmx_loadgen.system.clock import NS, now_ns

HTML_502 = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n"
NOT_UTF8 = b"\xff\xfe\xc3(\xed\xa0\x80"
MEGABYTE = b"lighthouse " * (1_048_576 // 11)
WORDS = {
    400: ("The request is invalid.", "invalid_request_error"),
    401: ("Invalid API key.", "authentication_error"),
    403: ("Not allowed.", "permission_error"),
    404: ("Not found.", "not_found_error"),
    408: ("Request timeout.", "timeout_error"),
    409: ("Conflict.", "invalid_request_error"),
    422: ("Unprocessable request.", "invalid_request_error"),
    429: ("Too many requests.", "rate_limit_error"),
    500: ("Internal server error.", "server_error"),
    503: ("Service unavailable.", "server_error"),
    504: ("Gateway timeout.", "server_error"),
}


# Instead of a response


def status(x: Exchange, code: int, headers: tuple[tuple[str, str], ...] = ()) -> None:
    """An error status with the body this server gives it."""
    message, kind = WORDS[code]
    reply = x.dialect.error(code, message, kind)
    reply.headers += headers
    x.reply(reply)


def html_502(x: Exchange) -> None:
    """A proxy's page."""
    x.reply(Reply(502, HTML_502, content_type="text/html"))


def redirect(x: Exchange) -> None:
    """A redirect to the models list, which a client must not follow."""
    x.reply(Reply(302, b"", (("Location", "/v1/models"),)))


def close_before_headers(x: Exchange) -> None:
    """End of file in place of any byte."""
    x.end_with(x.conn.close)


def garbage_http(x: Exchange) -> None:
    """Bytes that are not HTTP."""
    noise = bytes(Random(7).choices(range(128, 256), k=256))
    x.conn.write(b"\x16\x03\x01" + noise + b"\r\n\r\n")
    x.end_with(x.conn.close)


def _go_on_writing(x: Exchange, first: bytes, again: bytes) -> None:
    """`first`, and then `again` every 5 ms until the client goes or the time is up."""
    end = seconds_from_now(x)
    x.conn.on_lost = x.lost
    x.conn.write(first)

    def more(due: int) -> None:
        if not x.alive:
            return
        if now_ns() > end:
            x.end_with(x.conn.close)
        else:
            if not x.conn.backlog:
                x.conn.write(again)
            x.services.timeline.at(now_ns() + NS // 200, more)

    more(0)


def endless_headers(x: Exchange) -> None:
    """Header after header, never the end of them."""
    more = b"".join(b"X-Endless-%d: %s\r\n" % (number, b"a" * 64) for number in range(20))
    _go_on_writing(x, b"HTTP/1.1 200 OK\r\n", more)


def endless_interim(x: Exchange) -> None:
    """Interim responses without end."""
    _go_on_writing(x, b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 50)


def endless_pings(x: Exchange) -> None:
    """A stream of comments: alive, and without a word."""
    _go_on_writing(x, x.dialect.head(200, x.dialect.stream_headers, close=True), b": ping\n\n")


def drip(x: Exchange) -> None:
    """A stream's headers, and of its first event a byte every 5 ms, without end."""
    _go_on_writing(x, x.dialect.head(200, x.dialect.stream_headers, close=True) + b'data: {"id":"', b"a")


def _raw_stream(x: Exchange, body: bytes, extra: tuple[str, ...] = ()) -> None:
    """200 with a stream's headers and a body of known length, and nothing else."""
    lines = (*x.dialect.stream_headers, *extra, f"Content-Length: {len(body)}")
    x.close_after, x.status = True, 200
    x.conn.write(x.dialect.head(200, lines, close=True) + body)
    x.end("complete")


def garbage_sse(x: Exchange) -> None:
    """A stream's headers, and text that is not SSE."""
    _raw_stream(x, b"<!doctype html>\n<p>This is not an event stream.</p>\n\x00\x01\x02{]]]\n" * 20)


def gzip_body(x: Exchange) -> None:
    """The whole stream compressed, whatever the client accepts."""
    _raw_stream(x, gzip.compress(_whole_stream(x)), ("Content-Encoding: gzip",))


def wrong_content_length(x: Exchange) -> None:
    """A length 100 bytes greater than the body, then end of file."""
    body = _whole_stream(x)
    lines = (*x.dialect.stream_headers, f"Content-Length: {len(body) + 100}")
    x.conn.write(x.dialect.head(200, lines, close=True) + body)
    x.end_with(x.conn.close)


def _whole_stream(x: Exchange) -> bytes:
    """All events at once."""
    answer, script = x.answer, x.script
    before, after = x.dialect.template(answer)
    written = [[before + x.dialect.escape(script.text(i, i + 1)) + after] for i in range(script.total)]
    x.generated = x.written = answer.tokens = answer.chunks = script.total
    return b"".join(b"".join(group) for group in written + x.dialect.closing(answer))


def interim(x: Exchange, code: int, reason: str) -> None:
    """An interim response before the real one."""
    link = "Link: </style.css>; rel=preload\r\n" if code == 103 else ""
    x.preface = f"HTTP/1.1 {code} {reason}\r\n{link}\r\n".encode()


# Stalls


def stall_first_token(x: Exchange) -> None:
    """Nothing but what comes before the first token, for `seconds`."""
    x.prefill_ns += int(x.seconds * NS)


def _stall(x: Exchange) -> None:
    """Silence for `seconds`, then go on."""
    x.generated = x.written
    x.paused = True

    def resume(due: int) -> None:
        x.paused = False

    x.services.timeline.at(seconds_from_now(x), resume)


# Ends in mid-stream


def _truncate(x: Exchange) -> None:
    """Half a chunk, then end of file: the framing says that more was to come."""
    before, after = x.dialect.template(x.answer)
    whole = x.framed(before + b" half" + after)
    x.conn.write(x.take_lead()[0] + whole[: len(whole) // 2])
    x.end_with(x.conn.close)


def _half_close(x: Exchange) -> None:
    """End of file without the end of the body, and the other direction stays open."""
    x.conn.write(x.take_lead()[0])
    x.conn.shut_write()
    x.paused = True

    def over(due: int) -> None:
        if x.alive:
            x.end_with(x.conn.close)

    x.services.timeline.at(seconds_from_now(x), over)


def _clean_end(x: Exchange) -> None:
    """The framing ends as it should, but there is no finish reason: the engine behind the server was killed."""
    x.answer.tokens = x.written
    x.end_saying(x.dialect.killed(x.answer))


def _fail(x: Exchange) -> None:
    """The server says that generation failed, in its own way."""
    x.fail(MESSAGE)


def _fail_as_text(x: Exchange) -> None:
    """Opta-LMX's way: the error as text, then an ordinary end."""
    x.send_text(x.dialect.escape(f"\n\n[Error: {MESSAGE}]"), 0)
    x.answer.finish, x.answer.tokens = "stop", x.written
    x.end_saying(x.dialect.closing(x.answer))


def _wrong_chunk_length(x: Exchange) -> None:
    """A chunk five bytes longer than it says."""
    payload = b'data: {"choices":[]}\n\n'
    x.conn.write(x.take_lead()[0] + b"%x\r\n%b\r\n" % (len(payload) - 5, payload))
    x.end_with(x.conn.close)


# Odd bytes in a stream that goes on


def _write_instead(x: Exchange, text: bytes) -> None:
    """An event with this text in place of a token."""
    x.written = x.generated
    x.answer.chunks += 1
    x.send_text(text, 1)


def _many_events(x: Exchange) -> None:
    """10,000 events in one write."""
    before, after = x.dialect.template(x.answer)
    piece = before + b" light" + after
    lead, events = x.take_lead()
    count = 10_000
    x.script.total += count - 1
    x.generated += count - 1
    x.written = x.generated
    x.answer.chunks += count
    x.conn.write(lead + x.framed(piece * count), events + count, count)


def one_byte(x: Exchange) -> None:
    """Every byte in a write of its own."""

    def bytewise(x: Exchange, data: bytes, events: int, tokens: int) -> None:
        for i in range(len(data) - 1):
            x.conn.write(data[i : i + 1])
        x.conn.write(data[-1:], events, tokens)

    x.transform = bytewise


def split_utf8(x: Exchange) -> None:
    """Text of characters of several bytes; every event is cut inside one, and the rest comes a token later."""
    if x.answer.call is None:
        x.script.pieces = [" Grüße", " 你好", " 🙂", " naïve", " мир"]
    rest: list[tuple[bytes, int, int]] = []

    def cut(x: Exchange, data: bytes, events: int, tokens: int) -> None:
        held, held_events, held_tokens = rest.pop() if rest else (b"", 0, 0)
        inside = next((i for i, byte in enumerate(data) if byte & 0xC0 == 0x80), None)
        if inside is None or x.generated >= x.script.total:
            x.conn.write(held + data, held_events + events, held_tokens + tokens)
            return
        x.conn.write(held + data[:inside], held_events, held_tokens)
        rest.append((data[inside:], events, tokens))

    x.transform = cut


def endless_stream(x: Exchange) -> None:
    """Tokens without end, until the client goes or the time is up."""
    x.script.total = 1 << 60

    def enough(due: int) -> None:
        x.script.total = max(1, x.generated + 1)

    x.services.timeline.at(seconds_from_now(x), enough)


# Odd ends


def missing_terminator(x: Exchange) -> None:
    """[DONE], and then end of file without the end of the chunked body."""
    x.terminator = b""
    x.close_after = True


def nothing_but(x: Exchange, groups: Groups) -> None:
    """Headers, these events, and the end of the body."""
    x.script.total, x.without_events = 0, True
    x.edit_closing = lambda closing: groups


def no_text(x: Exchange) -> None:
    """A proper answer without a word."""
    x.script.total = 0
    x.answer.finish = "stop"


def odd_usage(x: Exchange, usage: dict[str, object] | None) -> None:
    """Usage that makes no sense, or none although it was asked for."""
    x.answer.odd_usage = {} if usage is None else usage
    x.answer.include_usage = usage is not None


REPLACED: dict[str, Fault] = {
    **{f"http_{code}": partial(status, code=code) for code in WORDS},
    "http_429_retry_after": partial(status, code=429, headers=(("Retry-After", "2"),)),
    "http_502_html": html_502,
    "redirect_302": redirect,
    "reset_before_headers": Exchange.reset,
    "close_before_headers": close_before_headers,
    "garbage_http": garbage_http,
    "garbage_sse": garbage_sse,
    "endless_headers": endless_headers,
    "endless_interim": endless_interim,
    "endless_pings": endless_pings,
    "drip": drip,
    "gzip_body": gzip_body,
    "wrong_content_length": wrong_content_length,
}
BENT: dict[str, Fault] = {
    "interim_100": partial(interim, code=100, reason="Continue"),
    "interim_103": partial(interim, code=103, reason="Early Hints"),
    "stall_first_token": stall_first_token,
    "stall_mid": in_mid_stream(_stall, unstreamed=True),
    "reset_mid": in_mid_stream(Exchange.reset, unstreamed=True),
    "truncated": in_mid_stream(_truncate),
    "half_close": in_mid_stream(_half_close),
    "clean_end": in_mid_stream(_clean_end),
    "stream_error": in_mid_stream(_fail, unstreamed=True),
    "error_text": in_mid_stream(_fail_as_text),
    "error_object": in_mid_stream(partial(fail_with, said=ERROR, done=False)),
    "error_then_done": in_mid_stream(partial(fail_with, said=ERROR)),
    "error_event": in_mid_stream(partial(fail_with, said=ERROR, done=False, name=b"event: error\n")),
    "wrong_chunk_length": in_mid_stream(_wrong_chunk_length),
    "invalid_utf8": in_mid_stream(partial(_write_instead, text=NOT_UTF8)),
    "split_utf8": split_utf8,
    "one_byte": one_byte,
    "big_event": in_mid_stream(partial(_write_instead, text=MEGABYTE)),
    "many_events": in_mid_stream(_many_events),
    "endless_stream": endless_stream,
    "missing_done": missing_done,
    "missing_terminator": missing_terminator,
    "empty_stream": partial(nothing_but, groups=[]),
    "bare_done": partial(nothing_but, groups=[[DONE]]),
    "no_text": no_text,
    "usage_negative": partial(odd_usage, usage={"prompt_tokens": -3, "completion_tokens": -1, "total_tokens": 2}),
    "usage_strings": partial(
        odd_usage, usage={"prompt_tokens": "many", "completion_tokens": "8", "total_tokens": None}
    ),
    "usage_missing": partial(odd_usage, usage=None),
}
