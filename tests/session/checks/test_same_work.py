"""How targets are asked what a comparison is checked by: in groups, once, and for so long."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.profile.models import Profile, Prompts, Request
from lmx_loadgen.profile.prompts import prompt_book
from lmx_loadgen.session.checks import same_work
from lmx_loadgen.session.checks.budget import CheckBudget, Group
from lmx_loadgen.session.checks.check_key import key_of
from lmx_loadgen.session.checks.client import CheckReply
from lmx_loadgen.session.checks.questions import CheckQuestions
from lmx_loadgen.session.checks.same_work import SameWorkChecks
from lmx_loadgen.store.lines import fault
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

TARGET = Target("box", DIALECTS["openai"], "http://127.0.0.1:9/v1", "m", {}, headers={"Authorization": "Bearer k"})
BODY = (
    b'data: {"model":"m","choices":[{"delta":{"content":"KX-"},"finish_reason":null}]}\n\n'
    b'data: {"model":"m","choices":[{"delta":{"content":"4127"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":700,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
HALF = BODY.index(b"data", 1)
ANSWER = CheckReply(
    200, {"content-type": "text/event-stream"}, BODY, 30_000_000,
    arrivals=[(20_000_000, HALF), (30_000_000, len(BODY) - HALF)],
)  # fmt: skip
BUSY = CheckReply(503, {}, b'{"error":{"message":"busy"}}', 1)


class Asking:
    """Stands in for the client: gives answers, and keeps what it was asked."""

    def __init__(self, *failing: int) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.failing = failing

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Any = None, *, timeout_s: float
    ) -> CheckReply:
        assert (method, url) == ("POST", "http://127.0.0.1:9/v1/chat/completions")
        self.asked.append(body)
        self.headers.append(headers)
        return BUSY if len(self.asked) in self.failing else ANSWER


def checks(ask: Asking, *groups: Group, done: frozenset[tuple[str, str, str]] = frozenset()) -> SameWorkChecks:
    profile = Profile(request=Request(max_tokens=100))
    questions = CheckQuestions(profile.request, prompt_book(Prompts(), Path.cwd()), "key")
    budget = CheckBudget(groups, 0, 0.0, 60.0)
    return SameWorkChecks(profile, budget, questions, ask, done, 600.0)  # type: ignore[arg-type]


def lines_of(asking: SameWorkChecks) -> list[dict[str, Any]]:
    return [line for lines in asking(TARGET) for line in lines]


def test_an_answer_is_stored_as_it_came_and_is_a_line_of_the_log() -> None:
    ask = Asking()
    first, *others = lines_of(checks(ask, "needle"))

    assert len(others) == 3
    assert (first["check"], first["error"], first["latency_ns"]) == ("needle", None, 30_000_000)
    assert first["asked"] | {"nonce": "", "expects": ""} == {
        "prompt": "text-0", "nonce": "", "max_tokens": 20, "temperature": 0.0, "seed": 42, "expects": "",
    }  # fmt: skip
    assert first["answer"]["arrivals"] == [[20_000_000, HALF], [30_000_000, len(BODY) - HALF]]
    assert [event for event in first["answer"]["events"] if event[1] == "content"] == [
        [0, "content", "KX-"], [1, "content", "4127"],
    ]  # fmt: skip
    assert first["answer"]["usage"] == {"prompt_tokens": 700, "completion_tokens": 2}
    line = {"type": "check", "at_ns": 1, "target": "box", **first}
    assert fault(json.loads(json.dumps(line))) is None
    assert ask.headers[0] == {"Accept": "text/event-stream", "Authorization": "Bearer k"}
    assert ask.asked[0]["messages"][0]["content"].startswith(first["asked"]["nonce"])
    assert (ask.asked[0]["max_tokens"], ask.asked[0]["stream"]) == (20, True)


def test_after_a_failure_the_rest_of_a_group_is_left_out() -> None:
    lines = lines_of(checks(Asking(2), "needle", "caching"))

    assert [line["check"] for line in lines] == ["needle"] * 2 + ["new_nonce", "same_nonce"] * 4
    assert "busy" in lines[1]["error"]
    assert (lines[1]["answer"], lines[1]["latency_ns"]) == (None, None)


def test_a_group_that_was_finished_is_not_asked_again_and_a_half_one_is_asked_as_a_whole() -> None:
    whole = lines_of(checks(Asking(), "needle", "caching"))
    keys = [key_of("box", line) for line in whole]

    again = lines_of(checks(Asking(), "needle", "caching", done=frozenset(keys[:6])))

    assert [line["check"] for line in again] == ["new_nonce", "same_nonce"] * 4
    assert lines_of(checks(Asking(), "needle", "caching", done=frozenset(keys))) == []


@pytest.mark.parametrize(("slower", "asked"), [(1.0, 3), (3.0, 7)])
def test_it_ends_once_its_time_is_over_which_grows_with_that_of_the_load(
    slower: float, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request takes 30 s, of a budget of 60 s where the load took the planned 600 s."""
    ask = Asking()
    now = [0.0]
    monkeypatch.setattr(same_work.time, "monotonic", lambda: now[0] + 30.0 * len(ask.asked))
    asking = checks(ask, "needle", "caching")
    now[0] = 600.0 * slower

    assert len(lines_of(asking)) == asked
