from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.text_events import answer_text
from tests.helpers.made_lines import MS, failed_line, made, request_line, usage


def test_a_role_event_is_not_the_first_token() -> None:
    one = made([(5, ["role"]), (200, ["content:Hi"]), (220, ["content: there"]), (220.5, ["finish:stop", "done"])])

    assert one.text_reads == ((1200 * MS, 1), (1220 * MS, 1))
    assert (one.first_text_ns, one.last_text_ns) == (1200 * MS, 1220 * MS)


def test_a_role_in_the_same_read_as_the_first_token_adds_no_text_event() -> None:
    assert made([(200, ["role", "content:Hi"])]).text_reads == ((1200 * MS, 1),)


def test_events_of_one_read_share_its_time() -> None:
    one = made([(200, ["content:a", "content:b"]), (220, ["content:c"]), (230, ["usage", "done"])])

    assert one.text_reads == ((1200 * MS, 2), (1220 * MS, 1))
    assert one.text_events == 3


def test_two_reads_stamped_alike_are_one_arrival() -> None:
    assert made([(200, ["content:a"]), (200, ["content:b"])]).text_reads == ((1200 * MS, 2),)


def test_reasoning_is_text_but_not_visible() -> None:
    one = made([(100, ["reasoning:hm"]), (200, ["content:Yes"])])

    assert one.first_text_ns == 1100 * MS
    assert one.first_visible_ns == 1200 * MS


def test_tool_arguments_are_visible_text() -> None:
    one = made([(5, ["role"]), (300, ['tool:{"a":1}'])])

    assert (one.first_text_ns, one.first_visible_ns, one.text_events) == (1300 * MS, 1300 * MS, 1)


def test_a_request_never_sent_has_no_times_of_text() -> None:
    one = record(failed_line("connect_error", None, send_ns=None))

    assert (one.send_ns, one.first_text_ns, one.last_text_ns, one.first_visible_ns) == (None, None, None, None)
    assert not one.ok


def test_counts_that_cannot_be_counts_are_unknown() -> None:
    for nonsense in (-1, "12", 3.0, True, None, [5], 2**60):
        one = made([(200, ["content:a"])], usage=usage(nonsense, nonsense))
        assert (one.usage_prompt, one.usage_output) == (None, None), nonsense
    one = made([(200, ["content:a"])], usage=usage(7, 9, cached=3))
    assert (one.usage_prompt, one.usage_output, one.usage_cached) == (7, 9, 3)


def test_missing_cached_tokens_are_unknown_not_none_at_all() -> None:
    assert made([(200, ["content:a"])], usage=usage(7, 9)).usage_cached is None


def test_the_answers_text_is_what_was_shown() -> None:
    line = request_line([(1, ["role", "reasoning:hm "]), (2, ["content:Yes", "finish:stop"])])

    assert answer_text(line) == "hm Yes"
