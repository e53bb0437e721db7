"""Every odd way in which an answer can come, through the tool itself: what the event log then says, and how soon."""

import json
import re
from collections.abc import Iterator

import pytest

from lmx_loadgen.sim.faults import FAULTS, responses
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from tests.faults.test_fault_table import (
    FAILED,
    SLACK_S,
    UNFRAMED,
    Line,
    Row,
    agrees,
    only,
    seconds_of,
    text_of,
    words_in,
)
from tests.helpers.pipeline import Pipeline, pipeline, target_at

THOUGHTS = 2  # of six tokens


def thoughts_in(line: Line) -> int:
    return sum(1 for event in line["events"] if event[1] == "reasoning")


def whole(line: Line) -> bool:
    """All six words, and what comes with them."""
    return (words_in(line), line["finish_reason"], line["usage"]["completion_tokens"]) == (6, "length", 6)


def in_silence(line: Line) -> bool:
    return (words_in(line), line["usage"]["completion_tokens"]) == (6 - THOUGHTS, 6)


def thinks(line: Line) -> bool:
    return (thoughts_in(line), words_in(line)) == (THOUGHTS, 6 - THOUGHTS)


def thinks_in_tags(line: Line) -> bool:
    said = text_of(line)
    return bool(said) and "think" not in said and thoughts_in(line) > 0


TABLE = [
    # Counts
    Row("hidden_reasoning", "ok", check=in_silence),
    Row("hidden_reasoning_untold", "ok", check=in_silence),
    Row("swallowed_by_parser", "ok", check=in_silence),
    Row("held_back", "ok", check=lambda line: words_in(line) == 5 and line["usage"]["completion_tokens"] == 6),
    Row("running_usage", "ok", check=whole),
    Row("usage_one_short", "ok", check=lambda line: (words_in(line), line["usage"]["completion_tokens"]) == (6, 5)),
    Row("over_the_limit", "ok", check=lambda line: (words_in(line), line["finish_reason"]) == (14, "stop")),
    # Endings
    Row("finish_null", "ok", check=lambda line: (words_in(line), line["finish_reason"]) == (6, None)),
    Row("finish_abort", "stream_error", "abort", check=lambda line: words_in(line) == 3),
    Row("finish_cancelled", "stream_error", "cancelled", check=lambda line: words_in(line) == 3),
    Row("no_blank_line", "ok", check=whole),
    Row("open_after_done", "ok", check=whole),
    Row("open_after_done_pings", "ok", check=whole),
    Row("open_after_finish", "ok", check=whole),
    Row("open_after_finish_pings", "ok", check=whole),
    Row("close_after_stream", "ok", check=whole),
    Row("cut_between_events", "truncated", UNFRAMED, check=lambda line: words_in(line) == 3),
    Row("cut_after_role", "truncated", UNFRAMED, check=lambda line: words_in(line) == 0),
    Row("status_201", "ok", status=201, check=whole),
    Row("status_206", "ok", status=206, check=whole),
    # Events that say nothing
    Row("ping_dates", "ok", check=whole),
    Row("named_heartbeats", "ok", check=whole),
    Row("event_fields", "ok", check=whole),
    Row("null_first", "ok", check=whole),
    # Reasoning
    Row("reasoning", "ok", check=thinks),
    Row("reasoning_content", "ok", check=thinks),
    Row("reasoning_object", "ok", check=thinks),
    Row("reasoning_details", "ok", check=thinks),
    Row("reasoning_parts", "ok", check=thinks),
    Row("think_tags", "ok", check=thinks_in_tags),
    Row("think_tags_opened_by_template", "ok", check=thinks_in_tags),
    Row("think_tags_split", "ok", check=thinks_in_tags),
    Row("white_space_first", "ok", check=lambda line: text_of(line).startswith("\n\n")),
    # The server's words
    Row("http_422_field", "http_error", r"stream_options\.include_usage.*not permitted", 422),
    Row("http_422_field_in_message", "http_error", r"stream_options\.include_usage.*not permitted", 422),
    Row("error_bare_object", "stream_error", FAILED, check=lambda line: words_in(line) == 3),
    Row("error_detail", "stream_error", FAILED),
    Row("error_detail_field", "stream_error", r"stream_options\.include_usage"),
    Row("error_json_line", "stream_error", FAILED),
    Row("whole_message", "ok", check=lambda line: words_in(line) == 1),
    # Without tools these are answers like any other
    Row("tool_new_id_each_piece", "ok", check=whole),
    Row("tool_two_calls_of_index_0", "ok", check=whole),
    Row("tool_call_left_in_text", "ok", check=whole),
]


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    settings = SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None, fault_seconds=60.0, thought_tokens=THOUGHTS)
    with start(settings) as running:
        yield running


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipeline(tmp_path_factory.mktemp("odd")) as running:
        yield running


def test_the_table_has_a_row_for_every_odd_answer() -> None:
    assert {row.fault for row in TABLE} == set(FAULTS) - set(responses.REPLACED | responses.BENT)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_odd_answer(row: Row, sim: SimProcess, tool: Pipeline) -> None:
    line = only(log := tool.record(target_at(sim.base_url, {"X-Sim": json.dumps({"fault": row.fault})})))

    assert (line["outcome"], line["status"]) == (row.outcome, row.status), line["reason"]
    if row.words is None:
        assert line["reason"] is None
    else:
        assert line["reason"].isprintable()
        assert re.search(row.words, line["reason"]), line["reason"]
    assert row.check(line), (line["events"][:20], line["usage"], line["finish_reason"])
    assert seconds_of(line) <= SLACK_S
    agrees(log)
    # Whatever happened, the slot is fit for the next request.
    after = only(tool.record(target_at(sim.base_url)))
    assert (after["outcome"], words_in(after)) == ("ok", 6), after["reason"]
