"""Server-sent events by the WHATWG rules, however the bytes are split."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx_loadgen.decode import sse
from lmx_loadgen.decode.sse import Decoder, Item
from tests.helpers.recorded import READS, recorded

SOME_STREAMS = [
    "llama-server/chat-stream-long-prefill-pings",
    "opta-lmx/chat-stream-usage-max8",
    "mlx_lm/chat-stream-usage-max8",
    "ollama/v1-chat-stream-tools",
]


def reference(body: bytes) -> list[tuple[str, str, bool]]:
    """The specification, line by line and slowly; comments are kept."""
    text = body[3:] if body.startswith(b"\xef\xbb\xbf") else body
    lines = re.split(rb"\r\n|\n|\r", text)[:-1]
    found, data, event = [], None, b""
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data is not None:
                found.append(((event or b"message").decode("utf-8", "replace"), data.decode("utf-8", "replace"), False))
            data, event = None, b""
        elif colon and not name:
            found.append(("", value.decode("utf-8", "replace"), True))
        elif name == b"data":
            data = value if data is None else data + b"\n" + value
        elif name == b"event":
            event = value
    return found


def bare(items: list[Item]) -> list[tuple[str, str, bool]]:
    return [(item.event, item.data, item.comment) for item in items]


def decode(body: bytes) -> list[Item]:
    return list(sse.decode(body))


def fed(pieces: list[bytes]) -> list[Item]:
    decoder = Decoder()
    return [item for piece in pieces for item in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data: a\r\n\r\n", [("message", "a")]),
        (b"data: a\r\r", [("message", "a")]),
        (b"data:a\n\n", [("message", "a")]),
        (b"data:  a\n\n", [("message", " a")]),
        (b"data: a\ndata: b\n\n", [("message", "a\nb")]),
        (b"data\n\n", [("message", "")]),
        (b"data: a\r\ndata: b\r\n\r\n", [("message", "a\nb")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
        (b"event: error\ndata: {}\n\ndata: b\n\n", [("error", "{}"), ("message", "b")]),
        (b"event: lost\n\ndata: b\n\n", [("message", "b")]),
        (b"id: 7\nretry: 10\nnonsense\ndata: a\n\n", [("message", "a")]),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"\n\n\n", []),
        ('data: {"x":"a\u2028b"}\n\n'.encode(), [("message", '{"x":"a\u2028b"}')]),
        (b"data: \xff\n\n", [("message", "\ufffd")]),
    ],
)
def test_the_rules(body, events):
    assert [(item.event, item.data) for item in decode(body)] == events


def test_comments_are_pings():
    assert decode(b":\n\n: keepalive 3/7\n\ndata: a\n\n") == [
        Item(2, "", "", comment=True),
        Item(19, "", "keepalive 3/7", comment=True),
        Item(29, "message", "a"),
    ]


def test_an_event_ends_with_the_byte_that_completed_it():
    body = b"data: a\n\ndata: b\n\n"
    assert [item.end for item in decode(body)] == [9, 18]
    assert [item.end for item in decode(body.replace(b"\n", b"\r\n"))] == [10, 21]


@pytest.mark.parametrize("name", SOME_STREAMS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_split_of_a_recorded_stream_gives_the_same_items(name, data):
    body = recorded(name).body
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=30)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert fed(pieces) == decode(body)


@pytest.mark.parametrize("name", SOME_STREAMS)
def test_one_byte_at_a_time_gives_the_same_items(name):
    body = recorded(name).body
    assert fed([body[place : place + 1] for place in range(len(body))]) == decode(body)


pieces_of_sse = st.lists(
    st.sampled_from(
        [b"data", b": ", b":", b"\n", b"\r", b"\r\n", b"event", b"x", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b" "]
    ),
    max_size=25,
)


@settings(max_examples=400)
@given(pieces_of_sse)
def test_it_agrees_with_the_specification_however_it_is_split(pieces):
    body = b"".join(pieces)
    # The reference sees a trailing CR as a line end at once; so does the decoder, LF or not to follow.
    assert bare(decode(body)) == reference(body)
    assert fed(pieces) == decode(body)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_arbitrary_bytes_never_fail(first, second):
    assert fed([first, second]) == decode(first + second)


def test_recorded_streams_hold_no_surprise():
    for name in READS:
        body = recorded(name).body
        assert bare(decode(body)) == reference(body)


@pytest.mark.slow
@pytest.mark.timing
def test_a_body_of_line_ends_alone_is_read_in_its_own_time() -> None:
    """A search for the line end that is not there, at every line, would take ten times as long, and more."""

    def seconds(ends: bytes) -> float:
        began = time.process_time()
        assert decode(ends * (1_000_000 // len(ends)) + b"data: a\n\n")[-1].data == "a"
        return time.process_time() - began

    both = min(seconds(b"\n\r") for _ in range(3))
    assert min(seconds(b"\r") for _ in range(3)) < 5 * both


def test_a_long_body_is_read_stretch_by_stretch() -> None:
    """An event, a line end and a character that lie across the edge of two stretches stay whole."""
    for before in range(sse._STRETCH - 12, sse._STRETCH + 3):
        body = b":" + b"x" * (before - 2) + b"\n" + "data: ü\r\n\r\ndata: b\n\n".encode()
        assert [item.data for item in decode(body)[1:]] == ["ü", "b"]
