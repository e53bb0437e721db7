"""A closed loop goes on where an answer is over, whatever the server does with the body and the connection then."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.system.clock import NS
from tests.helpers.pipeline import Pipeline, pipeline, target_at
from tests.helpers.scripted import CLOSE, HANG, HEAD, chunked, delta, served_in_thread

FINISH = b'data: {"id":"a","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"a","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
SAID = chunked(delta("a"), delta("b"), FINISH, USAGE, end=False)
DONE = chunked(b"data: [DONE]\n\n", end=False)


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder: Path = tmp_path_factory.mktemp("held")
    with pipeline(folder) as running:
        yield running


def of_slot(lines: list[dict[str, Any]], slot: int) -> list[dict[str, Any]]:
    return sorted((line for line in lines if line["slot"] == slot), key=lambda line: line["intended_ns"])


def test_a_slot_is_free_at_done_though_the_body_stays_open(tool: Pipeline) -> None:
    with served_in_thread([HEAD, SAID, DONE, HANG]) as url:
        log = tool.record(target_at(url), concurrency=[2], requests=20)

    assert [line["outcome"] for line in log.requests] == ["ok"] * 20
    assert [line["notes"] for line in log.requests] == [["held_open"]] * 20
    assert not any(line["reconnected"] for line in log.requests)
    for line in log.requests:
        assert line["send_ns"] + line["arrivals"][-1][0] <= line["end_ns"]
        assert line["end_ns"] - line["send_ns"] < 10 * NS
    for slot in (0, 1):
        assert all(late["intended_ns"] >= early["end_ns"] for early, late in pairwise(of_slot(log.requests, slot)))
    # Learned from the first answers, the rest waits for nothing: only twice is there the moment for the body's end.
    assert log.segments[0]["end_ns"] - log.segments[0]["start_ns"] < 10 * NS


def test_without_done_a_slot_is_free_a_second_after_the_finish_reason(tool: Pipeline) -> None:
    with served_in_thread([HEAD, SAID, HANG]) as url:
        log = tool.record(target_at(url), concurrency=[2], requests=2)

    assert [(line["outcome"], line["notes"]) for line in log.requests] == [("ok", ["held_open"])] * 2
    for line in log.requests:
        assert line["usage"]["completion_tokens"] == 2
        assert NS <= line["end_ns"] - line["send_ns"] - line["arrivals"][0][0] < 10 * NS


def test_a_server_that_closes_after_each_stream_is_not_asked_twice_each_time(tool: Pipeline) -> None:
    """As llama.cpp does. Its goodbye may cross one request of each slot before that is known."""
    with served_in_thread([HEAD, SAID, DONE + b"0\r\n\r\n", CLOSE]) as url:
        log = tool.record(target_at(url), concurrency=[2], requests=30)

    assert [line["outcome"] for line in log.requests] == ["ok"] * 30
    assert sum(line["reconnected"] for line in log.requests) <= 2
    assert sum(line["connect_ns"] is not None for line in log.requests) >= 28
    assert not any("notes" in line for line in log.requests)


def test_a_healthy_server_keeps_its_connections(tool: Pipeline) -> None:
    with served_in_thread([HEAD, SAID, DONE, chunked()]) as url:
        log = tool.record(target_at(url), concurrency=[2], requests=30)

    assert [line["outcome"] for line in log.requests] == ["ok"] * 30
    assert [line["connect_ns"] for line in log.requests] == [None] * 30
    assert not any("notes" in line for line in log.requests)


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "206 Partial Content"])
def test_any_2xx_is_no_failure_to_wait_after(tool: Pipeline, status: str) -> None:
    with served_in_thread([HEAD.replace(b"200 OK", status.encode()), SAID, DONE, chunked()]) as url:
        log = tool.record(target_at(url), requests=8)

    assert all(late["intended_ns"] == early["end_ns"] for early, late in pairwise(of_slot(log.requests, 0)))


def test_an_answer_cut_after_done_is_whole_and_one_cut_before_is_not(tool: Pipeline) -> None:
    with served_in_thread([HEAD, SAID, DONE, CLOSE]) as url:
        log = tool.record(target_at(url), requests=5)
    assert [line["outcome"] for line in log.requests] == ["ok"] * 5
    assert all(late["intended_ns"] == early["end_ns"] for early, late in pairwise(log.requests))

    # Opta-LMX when it is overfull: the stream begins, and is cut without a word.
    role = b'data: {"id":"a","choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    with served_in_thread([HEAD, chunked(role, end=False), CLOSE]) as url:
        log = tool.record(target_at(url), requests=2)
    assert [line["outcome"] for line in log.requests] == ["truncated"] * 2
    with served_in_thread([HEAD, chunked(role)]) as url:
        log = tool.record(target_at(url), requests=2)
    assert [line["outcome"] for line in log.requests] == ["incomplete"] * 2
