import pytest

from lmx_loadgen.store.plan_result import identity, plan_fields, undefined
from tests.helpers.plan_results import TOOL, made, whole


def test_only_the_plan_s_fields_are_in_it() -> None:
    call = TOOL.model_copy(update={"form": "tool_calls", "error": "late"})
    found = plan_fields(whole(tool_call=call).model_copy(update={"origin": "elsewhere"}))

    assert found["lmx_version"] == ""
    assert "origin" not in found
    assert not {"form", "error"} & set(found["stats"]["tool_call"])
    assert found["stats"]["skills"][0]["error"] == "timed out"
    assert undefined(whole()) == []


@pytest.mark.parametrize("field", ["prompt_tokens", "completed_naturally", "output_text", "runs_completed"])
def test_what_the_reader_demands_and_is_not_there(field: str) -> None:
    assert undefined(whole(**{field: None})) == [field]


def test_a_tool_call_without_a_latency_cannot_be_read_either() -> None:
    assert undefined(whole(tool_call=TOOL.model_copy(update={"latency_sec": None}))) == ["tool_call.latency_sec"]
    assert undefined(whole(tool_call=TOOL.model_copy(update={"raw_tool_call": None}))) == []
    assert undefined(made().model_copy(update={"stats": None})) == ["stats"]


def test_results_are_the_same_by_what_the_plan_says_of_them() -> None:
    assert identity(whole()) == identity(whole().model_copy(update={"origin": "opta-lmx", "lmx_version": ""}))
    assert identity(whole()) != identity(whole(prompt_tokens=31))
