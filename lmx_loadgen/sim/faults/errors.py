"""The shapes in which servers say that something failed."""

from functools import partial

from lmx_loadgen.sim.answer import Reply
from lmx_loadgen.sim.dialects.base import DONE, Json
from lmx_loadgen.sim.exchange import Composed, Exchange
from lmx_loadgen.sim.faults.base import MESSAGE, Fault, in_mid_stream

FIELD: Json = {
    "type": "extra_forbidden",
    "loc": ["body", "stream_options", "include_usage"],
    "msg": "Extra inputs are not permitted",
    "input": True,
}
ERROR: Json = {"error": {"message": MESSAGE, "type": "server_error", "code": 500}}


def refuse_field(x: Exchange, body: Json) -> None:
    """HTTP 422, with the place of the field that is not taken."""
    x.reply(Reply(422, body))


def fail_with(x: Exchange, said: Json, done: bool = True, name: bytes = b"") -> None:
    """An event with other fields than a chunk's, perhaps with a name, and then [DONE], whatever the dialect."""
    event = name + x.dialect.event(said)
    x.end_saying([[event], [DONE]] if done else [[event]])


def _bare_line(x: Exchange) -> None:
    """A line of JSON without `data:`."""
    x.end_saying([[x.dialect.dumps(ERROR) + b"\n\n"]])


def whole_message(x: Exchange) -> None:
    """One event with a whole message, as for a request that is not streamed, and [DONE]."""
    if not x.answer.stream:
        return
    x.script.per_chunk = max(1, x.script.total)
    x.script.sizes, x.without_events = {}, True

    def compose(x: Exchange, begin: int, end: int) -> Composed:
        body = x.dialect.body(x.answer, x.script.text(begin, end))
        return [(x.dialect.event(body), 1, (end - begin) * x.answer.choices)]

    x.compose = compose
    x.edit_closing = lambda groups: [[DONE]]


REPLACED: dict[str, Fault] = {
    "http_422_field": partial(refuse_field, body={"detail": [FIELD]}),
    "http_422_field_in_message": partial(refuse_field, body={"object": "error", "message": {"detail": [FIELD]}}),
}
BENT: dict[str, Fault] = {
    "error_bare_object": in_mid_stream(
        partial(fail_with, said={"object": "error", "message": MESSAGE, "type": "InternalServerError", "code": 500})
    ),
    "error_detail": in_mid_stream(partial(fail_with, said={"detail": MESSAGE})),
    "error_detail_field": in_mid_stream(partial(fail_with, said={"detail": [FIELD]}, done=False)),
    "error_json_line": in_mid_stream(_bare_line),
    "whole_message": whole_message,
}
