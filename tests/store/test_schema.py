import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store import lines, schema
from tests.helpers.made_lines import (
    failed_line,
    header_line,
    host_line,
    made_log,
    point,
    request_line,
    resume_line,
    segment_line,
    steady,
    usage,
)

AGAIN = {"type": "again", "at_ns": 7, "load_point": point(4), "block": 1}
END = {"type": "end", "end_ns": 9, "complete": True, "reason": None}
REQUEST = request_line([(5, ["role"]), (200, ["content:a", "content:b"])], usage=usage(7, 2))
NEVER_SENT = failed_line("connect_error", None, send_ns=None)


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema.schemas()[name])


def as_stored(value: Any) -> Any:
    return json.loads(json.dumps(value))


def a_result() -> dict[str, Any]:
    answers = [request_line(steady(5), send=1000 * place, usage=usage(10, 6)) for place in range(4)]
    return summarize(MeasuredRun(made_log([*answers, failed_line()]))).as_dict()


def accepted(line: dict[str, Any]) -> bool:
    """Whether the reader of logs takes it."""
    return lines.fault(line) is None


@pytest.mark.parametrize("name", ["events.jsonl", "result.json"])
def test_the_schemas_are_schemas(name: str) -> None:
    found = schema.schemas()[name]

    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(found)
    assert found == as_stored(found)


@pytest.mark.parametrize(
    "line",
    [
        header_line(),
        REQUEST,
        failed_line(),
        NEVER_SENT,
        REQUEST | {"connect_ns": [1, 2], "tokenizer_tokens": {"prompt": 3, "output": None}},
        segment_line(0, 10, 20),
        segment_line(None, None, 20, stopped="interrupted"),
        host_line("before", {"cpu_mhz": 3200}),
        resume_line(redo=[0, 1]),
        AGAIN,
        END,
        END | {"of_a_later_version": 1},
    ],
    ids=lambda line: line["type"],
)
def test_lines_as_they_are_written_fit(line: dict[str, Any]) -> None:
    validator("events.jsonl").validate(as_stored(line))
    assert accepted(as_stored(line))


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (REQUEST, lambda line: line.update(type="answer")),
        (REQUEST, lambda line: line.update(end_ns=None)),
        (REQUEST, lambda line: line.update(end_ns=-1)),
        (REQUEST, lambda line: line.update(end_ns=1.5)),
        (REQUEST, lambda line: line.update(end_ns=2**63)),
        (REQUEST, lambda line: line.update(send_ns="1000")),
        (REQUEST, lambda line: line.update(outcome="fine")),
        (REQUEST, lambda line: line.update(phase="later")),
        (REQUEST, lambda line: line["load_point"].update(concurrency=0)),
        (REQUEST, lambda line: line["load_point"].update(kind="sideways")),
        (segment_line(0, 1, 2), lambda line: line.update(phase="measured")),
        (REQUEST, lambda line: line.update(first_wave=None)),
        (REQUEST, lambda line: line.update(connect_ns=[1])),
        (REQUEST, lambda line: line.update(tokenizer_tokens={"prompt": 1})),
        (REQUEST, lambda line: line["arrivals"][0].pop()),
        (REQUEST, lambda line: line["arrivals"][0].append(1)),
        (REQUEST, lambda line: line["events"][0].__setitem__(1, "words")),
        (REQUEST, lambda line: line["events"][0].__setitem__(2, None)),
        (REQUEST, lambda line: line["events"][0].__setitem__(0, -1)),
        (REQUEST, lambda line: line.update(usage=[1])),
        (header_line(), lambda line: line.update(schema=5)),
        (resume_line(), lambda line: line.update(redo=[3])),
        (resume_line(), lambda line: line.update(attempt=0)),
        (header_line(), lambda line: line["profile"].update(reading_tok_s=0)),
        (header_line(), lambda line: line["profile"]["slo"].pop("e2e")),
        (header_line(), lambda line: line["targets"][0].pop("model")),
        (header_line(), lambda line: line["clock"].pop("unix_ns")),
        (segment_line(0, 1, 2), lambda line: line.update(ramp_end_ns="soon")),
        (END, lambda line: line.update(complete="yes")),
    ],
)
def test_a_line_that_is_wrong_is_refused_by_schema_and_reader(line: dict[str, Any], change: Change) -> None:
    wrong = copy.deepcopy(as_stored(line))
    change(wrong)

    assert not validator("events.jsonl").is_valid(wrong)
    assert wrong["type"] not in lines.LINES or not accepted(wrong)


@pytest.mark.parametrize(
    "line",
    [header_line(), REQUEST, segment_line(0, 1, 2), host_line("after", {}), resume_line(), AGAIN, END],
    ids=lambda line: line["type"],
)
def test_every_required_field_is_missed(line: dict[str, Any]) -> None:
    stored = as_stored(line)
    optional = {"beside", "prompt_preview", "number", "nonce", "reconnected", "tokenizer_tokens", "type"}
    assert accepted(stored)
    for name in set(stored) - optional:
        without = {key: value for key, value in stored.items() if key != name}
        assert not validator("events.jsonl").is_valid(without), name
        assert lines.fault(without) == name


def test_a_result_fits() -> None:
    validator("result.json").validate(a_result())
    validator("result.json").validate(summarize(MeasuredRun(made_log([failed_line()]))).as_dict())


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("schema"),
        lambda data: data.pop("targets"),
        lambda data: data.update(complete="yes"),
        lambda data: data.update(colour="red"),
        lambda data: data["tool"].update(name="another"),
        lambda data: data["targets"][0]["levels"][0].update(sample="some"),
        lambda data: data["targets"][0]["levels"][0]["metrics"]["ttft"].update(better="faster"),
        lambda data: data["targets"][0]["levels"][0]["metrics"]["ttft"].update(p50="fast"),
        lambda data: data["targets"][0]["benchmark"].update(status="good"),
    ],
)
def test_a_result_that_is_wrong_is_refused(change: Change) -> None:
    wrong = a_result()
    change(wrong)

    assert not validator("result.json").is_valid(wrong)
