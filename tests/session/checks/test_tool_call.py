"""Tool calls asked of simulated servers over a real socket, in every form that servers leave them in."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lmx_loadgen.analysis.checks import tool_calls_of
from lmx_loadgen.profile.checks import Checks, ToolCallSpec
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.tool_call import WEATHER, ask_for_call, wanted
from lmx_loadgen.sim import DIALECT_NAMES
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.result import ToolCallBenchmark
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

FAST = {"ttft_ms": 1.0, "step_ms": 0.5, "prefill_tok_s": None}


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def asked(
    servers: ExitStack, dialect: str = "openai", timeout_s: float = 10.0, **settings: object
) -> ToolCallBenchmark:
    sim = servers.enter_context(start(SimSettings(dialect=dialect, **(FAST | settings))))  # type: ignore[arg-type]
    target = Target(dialect, DIALECTS[dialect], sim.base_url, "sim-model", {})
    line = ask_for_call(target, WEATHER, CheckClient(None, lambda: False), timeout_s)
    (found,) = tool_calls_of([{"type": "check", "target": dialect, **line}])
    return found


def test_the_packaged_question_is_a_valid_one() -> None:
    assert ToolCallSpec.model_validate(WEATHER.model_dump()) == WEATHER


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
def test_every_server_can_be_asked(servers: ExitStack, dialect: str) -> None:
    found = asked(servers, dialect)

    assert found.passed, found
    assert found.form == "tool_calls"
    assert found.latency_sec is not None
    assert found.latency_sec > 0


@pytest.mark.parametrize(
    ("text", "form", "passed"),
    [
        ('<tool_call>{"name": "get_weather", "arguments": {"location": "Sydney"}}</tool_call>', "tool_call tag", True),
        ('{"name": "get_weather", "arguments": {"location": "Sydney"}}', "json", True),
        (
            '<minimax:tool_call><invoke name="get_weather"><parameter name="location">Sydney</parameter></invoke>',
            "minimax",
            True,
        ),
        ('{"name": "get_weather", "arguments": {"city": "Sydney"}}', "json", False),
        ("It is sunny.", None, False),
    ],
)
def test_calls_left_in_the_text_by_a_server_that_does_not_know_them(
    servers: ExitStack, text: str, form: str | None, passed: bool
) -> None:
    found = asked(servers, "lmx", text=text)

    assert (found.form, found.passed, found.error) == (form, passed, None)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("http_500", "HTTP 500"),
        ("stall_first_token", "no answer within 0.3 s"),
        ("reset_mid", ""),
        ("error_text", "failed"),
        ("garbage_sse", "not an event stream"),
    ],
)
def test_a_failing_server_is_a_failed_check(servers: ExitStack, fault: str, said: str) -> None:
    found = asked(servers, "lmx", timeout_s=0.3 if "stall" in fault else 10.0, text="It is.", faults={fault: 1.0})

    assert not found.call_produced
    assert found.error
    assert said in found.error
    assert found.latency_sec is None


def test_nobody_there_is_a_failed_check() -> None:
    target = Target("box", DIALECTS["openai"], "http://127.0.0.1:9/v1", "m", {})
    line = ask_for_call(target, WEATHER, CheckClient(None, lambda: False), 5.0)

    assert line["error"]
    assert line["answer"] is None


def test_ctrl_c_ends_a_question_at_once() -> None:
    target = Target("box", DIALECTS["openai"], "http://127.0.0.1:9/v1", "m", {})

    assert ask_for_call(target, WEATHER, CheckClient(None, lambda: True), 600.0)["error"]


def test_what_is_asked_for() -> None:
    assert wanted(Checks()) == []
    assert wanted(Checks(include_tool_call=True)) == [WEATHER]
    other = WEATHER.model_copy(update={"prompt": "And in Perth?"})
    assert wanted(Checks(include_tool_call=True, tool_calls=[other])) == [other]
