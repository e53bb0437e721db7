"""The live line of a level says what the table will say: the same basis, up to the last text."""

import io

import pytest
from rich.console import Console

from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.load.messages import FinishedRequest
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.report.progress import ProgressView
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.request_line import quick_look, request_line
from lmx_loadgen.store.lines import fault
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.wire.timing import RequestTiming

MS = 1_000_000
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
DONE = b"data: [DONE]\n\n"
EXACT, CHUNKS = StreamRules(), StreamRules(usage_output_exact=False)


def usage(tokens: int) -> bytes:
    return b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d}}\n\n' % tokens


def line_of(*late: bytes, texts: int = 5, notes: tuple[str, ...] = ()) -> dict[str, object]:
    """An answer of five texts, 20 ms apart from 200 ms on; each of `late` comes 240 ms after what was before."""
    timing = RequestTiming(send_ns=1_000 * MS, end_ns=2_000 * MS, headers_ns=1_001 * MS, status=200, notes=[*notes])
    at_ms, pieces = 200, [b'data: {"choices":[{"delta":{"content":"word%d "}}]}\n\n' % turn for turn in range(texts)]
    for place, piece in enumerate([*pieces, *late]):
        at_ms += 0 if place == 0 else 20 if place < texts else 240
        timing.body += piece
        timing.arrival_ns.append((1_000 + at_ms) * MS)
        timing.arrival_bytes.append(len(piece))
    timing.first_text_ns = timing.arrival_ns[0]
    sent = FinishedRequest("", 0, 0, "measured", False, 0, "0" * 16, 1_000 * MS, timing, 0, [])
    segment = Segment(SegmentKey("here", ALONE, 0), 1, None, 0)
    return request_line(sent, segment, id=0, prompt_id="p", endpoint="chat", rules=EXACT, max_tokens=5)


def test_what_comes_after_the_last_text_does_not_slow_it() -> None:
    ok, ttft_s, rate, in_tokens = quick_look(line_of(FINISH, usage(5), DONE), EXACT)

    assert (ok, ttft_s, in_tokens) == (True, pytest.approx(0.2), True)
    assert rate == pytest.approx(50.0)


def test_tokens_are_those_of_the_usage_where_it_counts_them() -> None:
    assert quick_look(line_of(FINISH, usage(10), DONE), EXACT)[2:] == (pytest.approx(100.0), True)


@pytest.mark.parametrize(
    ("late", "rules"), [((FINISH, usage(10), DONE), CHUNKS), ((FINISH, DONE), EXACT)], ids=["no count", "no usage"]
)
def test_without_a_count_of_tokens_it_is_a_rate_of_chunks(late: tuple[bytes, ...], rules: StreamRules) -> None:
    assert quick_look(line_of(*late), rules)[2:] == (pytest.approx(50.0), False)


def test_text_in_one_read_has_no_rate_and_a_failure_has_nothing() -> None:
    assert quick_look(line_of(FINISH + DONE, texts=1), EXACT) == (True, pytest.approx(0.2), None, False)
    assert quick_look(line_of(b'data: {"error":"no"}\n\n'), EXACT) == (False, None, None, False)


def test_what_the_wire_noted_is_stored_and_nothing_where_it_noted_nothing() -> None:
    noted, plain = line_of(FINISH, DONE, notes=("held_open",)), line_of(FINISH, DONE)

    assert noted["notes"] == ["held_open"]
    assert "notes" not in plain
    for line in (noted, plain):
        line["target"] = "here"
        assert fault(line) is None


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ([(50.0, True), (60.0, True), (999.0, False)], "55.0 tok/s"),
        ([(50.0, False), (60.0, False), (999.0, True)], "55.0 chunks/s"),
        ([(None, False)], "— tok/s"),
    ],
)
def test_the_line_says_what_its_rate_is_of(rates: list[tuple[float | None, bool]], shown: str) -> None:
    console = Console(file=io.StringIO(), width=100)
    with ProgressView(console) as view:
        view.start_segment("here", ALONE, len(rates), None)
        for rate, in_tokens in rates:
            view.finished(True, 0.2, rate, in_tokens)

    assert isinstance(console.file, io.StringIO)
    assert shown in console.file.getvalue()
