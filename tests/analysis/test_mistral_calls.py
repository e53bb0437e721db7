"""A call as Mistral's models write it, old and new, where the server left it in the text."""

import json

import pytest

from lmx_loadgen.analysis.tool_calls import judge
from lmx_loadgen.session.checks.tool_call import WEATHER
from lmx_loadgen.store.result import ToolCallBenchmark

CALL = '{"location": "Sydney"}'


def judged(content: str) -> ToolCallBenchmark:
    asked = {"prompt": WEATHER.prompt, "expect": WEATHER.expect, "tools": WEATHER.tools}
    return judge(asked, {"content": content, "tool_calls": []}, None, 1)


@pytest.mark.parametrize(
    "content",
    [
        f"[TOOL_CALLS]get_weather{CALL}",
        f"[TOOL_CALLS] get_weather {CALL}",
        f"[TOOL_CALLS]get_weather[ARGS]{CALL}",
        f"[TOOL_CALLS]get_weather[CALL_ID]9a1b2c3d4[ARGS]{CALL}",
        f"[TOOL_CALLS]get_weather{CALL}[TOOL_CALLS]get_time{{}}",
        f"Let me look.[TOOL_CALLS]get_weather[ARGS]{CALL}</s>",
        f"[THINK]I call [TOOL_CALLS]get_time{{}}[/THINK][TOOL_CALLS]get_weather[ARGS]{CALL}",
        # the server took the special token away
        f"get_weather[ARGS]{CALL}",
        f"get_weather{CALL}",
    ],
)
def test_a_right_call(content: str) -> None:
    found = judged(content)

    assert found.passed
    assert found.form == "mistral"
    assert found.raw_tool_call is not None
    assert json.loads(found.raw_tool_call["arguments"]) == {"location": "Sydney"}


def test_the_older_list_is_read_as_json() -> None:
    found = judged(f'[TOOL_CALLS][{{"name": "get_weather", "arguments": {CALL}}}]')

    assert (found.passed, found.form) == (True, "json")


@pytest.mark.parametrize(
    ("content", "produced", "valid"),
    [
        ('[TOOL_CALLS]get_weather{"location": "Syd', True, False),
        ("[TOOL_CALLS]get_weather", True, False),
        ("[TOOL_CALLS]", False, False),
        ("The tool get_weather takes {a place}.", False, False),
        ("get_weather is what I would call.", False, False),
        (f"get_time{CALL}", False, False),
    ],
)
def test_what_is_wrong(content: str, produced: bool, valid: bool) -> None:
    found = judged(content)

    assert (found.call_produced, found.params_valid_json) == (produced, valid)
    assert not found.passed
