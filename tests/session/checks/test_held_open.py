"""A check of a server that leaves its bodies open ends where the answer is over."""

import pytest

from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from tests.helpers.scripted import CLOSE, HANG, HEAD, Script, chunked, delta, served_in_thread

BODY = delta("a") + b'data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}\n\n'
DONE = b"data: [DONE]\n\n"
# Far more than any of these takes: whoever waits for it fails.
LIMIT_S = 60.0


def asked(script: Script, *, stream: bool = True) -> CheckReply:
    with served_in_thread(script) as url:
        return CheckClient(None, lambda: False)("POST", url, {}, {"stream": stream}, timeout_s=LIMIT_S)


@pytest.mark.parametrize(
    ("script", "body"),
    [
        ([HEAD, chunked(BODY + DONE, end=False), HANG], BODY + DONE),
        ([HEAD, chunked(BODY, DONE + b": ping\n\n", end=False), HANG], BODY + DONE),
        ([HEAD, chunked(BODY, end=False), HANG], BODY),
        ([HEAD, chunked(BODY + DONE, end=False), CLOSE], BODY + DONE),
        ([HEAD, chunked(BODY + DONE)], BODY + DONE),
    ],
    ids=["open after done", "a ping after done", "open after the finish reason", "cut after done", "whole"],
)
def test_it_ends_where_the_answer_is_over(script: Script, body: bytes) -> None:
    reply = asked(script)

    assert (reply.error, reply.status, reply.body) == (None, 200, body)
    assert reply.latency_ns < LIMIT_S * 1e9 / 2


def test_an_answer_that_is_no_stream_is_taken_in_to_its_end() -> None:
    whole = b'{"choices":[{"finish_reason":"stop"}],"text":"\ndata: [DONE]\n"}'

    assert asked([HEAD, chunked(whole)], stream=False).body == whole


def test_a_stream_cut_before_its_end_is_an_error() -> None:
    assert asked([HEAD, chunked(delta("a"), end=False), CLOSE]).error is not None
