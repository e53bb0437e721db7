import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.tool_calls import judge
from lmx_loadgen.session.checks.tool_call import WEATHER
from lmx_loadgen.store.result import ToolCallBenchmark

ASKED = {"prompt": WEATHER.prompt, "expect": WEATHER.expect, "tools": WEATHER.tools}
TIMER = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "parameters": {
            "type": "object",
            "properties": {"minutes": {"type": "integer"}, "label": {"type": "string"}, "loud": {"type": "boolean"}},
            "required": ["minutes", "label"],
            "additionalProperties": False,
        },
    },
}


def judged(content: str = "", calls: list[tuple[str, str]] | None = None, **asked: Any) -> ToolCallBenchmark:
    made = [{"name": name, "arguments": arguments} for name, arguments in calls or []]
    return judge({**ASKED, **asked}, {"content": content, "tool_calls": made}, None, 250_000_000)


def verdict(found: ToolCallBenchmark) -> tuple[bool, bool, bool, bool]:
    return found.call_produced, found.tool_name_correct, found.params_valid_json, found.params_match_schema


RIGHT = {
    "tool_calls": ("", [("get_weather", '{"location": "Sydney"}')]),
    "tool_call tag": ('<tool_call>\n{"name": "get_weather", "arguments": {"location": "Sydney"}}\n</tool_call>', []),
    "tool_call tag, arguments as text": (
        '<tool_call>{"name": "get_weather", "arguments": "{\\"location\\": \\"Sydney\\"}"}</tool_call>',
        [],
    ),
    "tool_call tag, function": (
        "<tool_call>\n<function=get_weather>\n<parameter=location>\nSydney\n</parameter>\n</function>\n</tool_call>",
        [],
    ),
    "tool_call tag, never closed": ('<tool_call>{"name": "get_weather", "arguments": {"location": "Sydney"}}', []),
    "minimax": (
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="location">Sydney</parameter>\n</invoke>\n'
        "</minimax:tool_call>",
        [],
    ),
    "json": ('{"name": "get_weather", "arguments": {"location": "Sydney"}}', []),
    "json, as Llama has it": ('<|python_tag|>{"name": "get_weather", "parameters": {"location": "Sydney"}}', []),
    "json, as Mistral has it": ('[TOOL_CALLS] [{"name": "get_weather", "arguments": {"location": "Sydney"}}]', []),
    "json, in a fence": (
        'Sure:\n```json\n{"type": "function", "function": {"name": "get_weather", "arguments": {"location": "Sydney"}}}'
        "\n```",
        [],
    ),
    "json, named by its function": ('{"function": "get_weather", "arguments": {"location": "Sydney"}}', []),
    "json, after a thought": (
        '<think>Maybe {"name": "set_timer", "arguments": {}}?</think>'
        '{"name": "get_weather", "arguments": {"location": "Sydney"}}',
        [],
    ),
    "json, after a thought whose beginning the template wrote": (
        'I could call {"name": "set_timer", "arguments": {}}.\n</think>\n\n'
        '{"name": "get_weather", "arguments": {"location": "Sydney"}}',
        [],
    ),
}


@pytest.mark.parametrize("form", list(RIGHT))
def test_a_right_call_is_right_in_every_form(form: str) -> None:
    content, calls = RIGHT[form]
    found = judged(content, calls)

    assert verdict(found) == (True, True, True, True)
    assert found.passed
    assert found.form == form.partition(",")[0]
    assert found.raw_tool_call is not None
    assert found.raw_tool_call["name"] == "get_weather"
    assert json.loads(found.raw_tool_call["arguments"]) == {"location": "Sydney"}
    assert found.latency_sec == 0.25
    assert found.tool_definition == WEATHER.tools[0]
    assert (found.expected_tool_name, found.prompt_used) == ("get_weather", WEATHER.prompt)


@pytest.mark.parametrize(
    ("content", "calls", "expected"),
    [
        # no call
        ("It is sunny in Sydney.", [], (False, False, False, False)),
        ("", [], (False, False, False, False)),
        ('<think>I would call {"name": "get_weather", "arguments": {"location": "Sydney"}}', [], (False,) * 4),
        ('{"location": "Sydney"}', [], (False,) * 4),
        # the wrong tool: nobody offered it, so nothing says what it takes
        ("", [("get_time", '{"location": "Sydney"}')], (True, False, True, False)),
        ('<invoke name="hi"><parameter name="location">Sydney</parameter></invoke>', [], (True, False, True, False)),
        # broken JSON
        ("", [("get_weather", '{"location": "Syd')], (True, True, False, False)),
        ("", [("get_weather", "")], (True, True, False, False)),
        ("", [("get_weather", '["Sydney"]')], (True, True, False, False)),
        ('<tool_call>{"name": "get_weather", "arguments": {"l": Sydney}}</tool_call>', [], (True, True, False, False)),
        ('{"name": "get_weather", "arguments": {"location": "Syd', [], (True, True, False, False)),
        ('```json\n[{"function": "get_weather", "parameters": {location: S}}]\n```', [], (True, True, False, False)),
        ('To call it, write {"name": "get_weather", "arguments": {…}}.', [], (False,) * 4),
        # a required parameter is missing, or is of another type
        ("", [("get_weather", '{"city": "Sydney"}')], (True, True, True, False)),
        ("", [("get_weather", '{"location": 2000}')], (True, True, True, False)),
        ('{"name": "get_weather", "arguments": {}}', [], (True, True, True, False)),
        ('<tool_call>{"name": "get_weather"}</tool_call>', [], (True, True, True, False)),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_call(
    content: str, calls: list[tuple[str, str]], expected: tuple[bool, bool, bool, bool]
) -> None:
    found = judged(content, calls)

    assert verdict(found) == expected
    assert not found.passed


def test_the_wrong_one_of_several_tools_is_held_against_its_own_schema() -> None:
    tools = [*WEATHER.tools, TIMER]

    wrong = judged("", [("set_timer", '{"minutes": 3, "label": "tea"}')], tools=tools)
    right = judged("", [("set_timer", '{"minutes": 3, "label": "tea"}')], tools=tools, expect="set_timer")

    assert verdict(wrong) == (True, False, True, True)
    assert verdict(right) == (True, True, True, True)
    assert right.tool_definition == TIMER


def test_parameters_written_as_xml_get_the_types_that_the_schema_wants() -> None:
    text = (
        '<invoke name="set_timer"><parameter name="minutes">3</parameter><parameter name="label">5</parameter>'
        '<parameter name="loud">true</parameter></invoke>'
    )
    found = judged(text, tools=[TIMER], expect="set_timer")

    assert verdict(found) == (True, True, True, True)
    assert found.raw_tool_call is not None
    assert json.loads(found.raw_tool_call["arguments"]) == {"minutes": 3, "label": "5", "loud": True}


def test_a_tagged_call_without_arguments_has_none() -> None:
    found = judged('<tool_call>\n{"name": "get_weather"}\n</tool_call>')

    assert found.raw_tool_call == {"name": "get_weather", "arguments": "{}"}


def test_the_servers_own_field_comes_before_what_is_in_the_text() -> None:
    found = judged('{"name": "set_timer", "arguments": {}}', [("get_weather", '{"location": "Sydney"}')])

    assert found.passed
    assert found.form == "tool_calls"


def test_no_answer_is_a_failed_check_with_its_error() -> None:
    found = judge(ASKED, None, "HTTP 500: tools are not supported", None)

    assert verdict(found) == (False, False, False, False)
    assert found.error == "HTTP 500: tools are not supported"
    assert found.latency_sec is None


@pytest.mark.parametrize("parameters", [{"type": "nonsense"}, {"$ref": "http://127.0.0.1:1/none"}, {"required": 3}, []])
def test_a_schema_that_is_none_matches_nothing(parameters: Any) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters or {"type": 5}}}]

    assert verdict(judged("", [("get_weather", "{}")], tools=tools)) == (True, True, True, False)


PIECES = [*'{}[]":,<>/ a1', "<tool_call>", "</tool_call>", '"name"', '"arguments"', '<invoke name="', "<think>"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_is_judged(text: str) -> None:
    found = judged(text)

    assert found.params_match_schema <= found.params_valid_json <= found.call_produced


def test_a_text_made_to_take_long_is_judged_all_the_same() -> None:
    for text in (
        '{"a":' * 10_000,
        "{" * 100_000,
        "<tool_call>" * 10_000,
        '<invoke name="x"><parameter name="y">' * 2_000,
    ):
        assert not judged(text).passed


def test_a_schema_with_a_regular_expression_is_not_run() -> None:
    """A pattern made for it takes longer than the universe has had, on sixty letters."""
    parameters = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    arguments = json.dumps({"a": "a" * 60 + "!"})

    assert verdict(judged("", [("get_weather", arguments)], tools=tools)) == (True, True, True, False)
