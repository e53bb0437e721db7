"""Several choices, stop sequences, and one model by its name: as each server does it."""

from typing import Any

import pytest

from lmx_loadgen.sim.script import Script, end_at_stop
from lmx_loadgen.sim.truth import read_truth
from tests.helpers.sim_client import Seen, ask, chat_body

USAGE = {"stream_options": {"include_usage": True}}
NAMES = ["openai", "lmx", "ollama", "lmstudio", "llamacpp", "mlx-lm", "vllm"]
TEXT = "One two three four five."


def said_by(seen: Seen, index: int) -> str:
    """The text of one choice of a stream."""
    choices = [choice for event in seen.events if isinstance(event, dict) for choice in event["choices"]]
    mine = [choice for choice in choices if choice["index"] == index]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in mine)


def usages(seen: Seen) -> list[Any]:
    return [event["usage"] for event in seen.events if isinstance(event, dict) and event.get("usage")]


def finishes(seen: Seen) -> list[Any]:
    choices = [choice for event in seen.events if isinstance(event, dict) for choice in event["choices"]]
    return [(choice["index"], choice["finish_reason"]) for choice in choices if choice["finish_reason"]]


# Choices


@pytest.mark.parametrize("dialect", ["openai", "lmx", "vllm"])
def test_choices_come_interleaved_with_one_usage_for_all(dialect: str, sim_of: Any) -> None:
    sim = sim_of(dialect=dialect)
    seen = ask(sim.port, chat_body(n=2, **USAGE))
    whole = ask(sim.port, chat_body(n=2, stream=False)).json

    assert said_by(seen, 0) == said_by(seen, 1) != ""
    assert [index for index, _ in finishes(seen)] == [0, 1]
    assert [usage["completion_tokens"] for usage in usages(seen)] == [12]
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
    assert whole["usage"]["completion_tokens"] == 12
    assert seen.events[-1] == "[DONE]"


def test_every_choice_is_in_the_truth_log(sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    seen = ask(sim.port, chat_body(n=3, **USAGE))
    sim.flush()
    truth = read_truth(sim.log_path)[seen.response_id]
    assert truth.output_tokens == sum(write.tokens for write in truth.writes) == 18
    assert sum(write.events for write in truth.writes) == len(seen.events)


def test_llamacpp_gives_a_usage_for_each_choice_and_as_many_as_it_has_slots(sim_of: Any) -> None:
    seen = ask(sim_of(dialect="llamacpp", slots=2).port, chat_body(n=2, **USAGE))
    roles = [chunk.count(b'"role":"assistant"') for chunk in seen.chunks]
    assert [usage["completion_tokens"] for usage in usages(seen)] == [6, 6]
    assert roles[:2] == [1, 1]
    assert sum(roles) == 2
    assert finishes(seen) == [(0, "length"), (1, "length")]

    refused = ask(sim_of(dialect="llamacpp").port, chat_body(n=2))
    assert refused.status == 400
    assert refused.json["error"]["message"] == "Field 'n': Value must be between 1 <= value <= 1, but got 2"


def test_vllm_refuses_equal_choices(sim_of: Any) -> None:
    refused = ask(sim_of(dialect="vllm").port, chat_body(n=2, temperature=0))
    assert refused.status == 400
    assert refused.json["error"]["message"] == "n must be 1 when using greedy sampling, got 2."


@pytest.mark.parametrize("dialect", ["ollama", "lmstudio", "mlx-lm"])
def test_some_servers_pass_n_over(dialect: str, sim_of: Any) -> None:
    seen = ask(sim_of(dialect=dialect).port, chat_body(n=2, **USAGE))
    assert (said_by(seen, 1), usages(seen)[-1]["completion_tokens"]) == ("", 6)


@pytest.mark.parametrize("n", [0, -1, "two", True, 1.5])
def test_a_number_of_choices_that_makes_no_sense_is_refused(n: Any, sim_of: Any) -> None:
    assert ask(sim_of(dialect="openai").port, chat_body(n=n)).status == 400


def test_each_prompt_of_a_completion_has_a_choice_and_llamacpp_begins_with_null(sim_of: Any) -> None:
    body = {"model": "sim-model", "prompt": ["One", "Two"], "max_tokens": 4, "stream": True, **USAGE}
    llama = ask(sim_of(dialect="llamacpp").port, body, "/v1/completions")
    vllm = ask(sim_of(dialect="vllm").port, body, "/v1/completions")

    assert llama.chunks[0] == b"data: null\n\n"
    assert [usage["completion_tokens"] for usage in usages(llama_events(llama))] == [4, 4]
    assert [usage["completion_tokens"] for usage in usages(vllm)] == [8]
    assert said_by(vllm, 0) == said_by(vllm, 1) == said_by(llama_events(llama), 1) != ""


def llama_events(seen: Seen) -> Seen:
    """Without the first event, which is null."""
    seen.body = seen.body.removeprefix(b"data: null\n\n")
    return seen


def test_a_prompt_of_token_numbers_is_one_prompt(sim_of: Any) -> None:
    body = {"model": "sim-model", "prompt": [1, 2, 3], "max_tokens": 4}
    assert len(ask(sim_of(dialect="openai").port, body, "/v1/completions").json["choices"]) == 1


# Stop sequences


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("stop", [" four", ["nothing", " four"], ["five", " four"]])
def test_an_answer_ends_before_the_stop_sequence(dialect: str, stop: Any, sim_of: Any) -> None:
    sim = sim_of(dialect=dialect)
    seen = ask(sim.port, chat_body(stop=stop, sim={"text": TEXT}, max_tokens=50, **USAGE))
    whole = ask(sim.port, chat_body(stop=stop, sim={"text": TEXT}, max_tokens=50, stream=False)).json

    assert seen.text == whole["choices"][0]["message"]["content"] == "One two three"
    assert finishes(seen) == [(0, "stop")]
    # The model made the sequence too; Opta-LMX counts chunks.
    assert usages(seen)[-1]["completion_tokens"] == (3 if dialect == "lmx" else 4)


@pytest.mark.parametrize(
    ("stops", "total", "said", "swallowed"),
    [
        ([" three four"], 9, "One two", 2),  # over two pieces
        (["re"], 9, "One two th", 0),  # inside one: its beginning is said
        (["One"], 9, "", 1),  # at once
        (["five", "two"], 9, "One ", 0),  # the first in the text, not in the list
        ([" four"], 3, None, 0),  # the limit comes first
        (["", "six"], 9, None, 0),
    ],
)
def test_where_a_script_stops(stops: list[str], total: int, said: str | None, swallowed: int) -> None:
    pieces = ["One", " two", " three", " four", " five", "."]
    script = Script(pieces, 0, min(total, len(pieces)), 1)

    assert end_at_stop(script, stops) is (said is not None)
    if said is not None:
        assert script.text(0, script.total) == said
    assert script.swallowed == swallowed


def test_the_sequence_takes_its_time(sim_of: Any) -> None:
    sim = sim_of(dialect="openai", step_ms=10.0)
    seen = ask(sim.port, chat_body(stop=" two three four", sim={"text": TEXT}, max_tokens=50))
    sim.flush()
    truth = read_truth(sim.log_path)[seen.response_id]
    text = [write.at_ns for write in truth.writes if write.tokens]
    assert (len(text), truth.unseen_tokens) == (1, 3)
    assert truth.writes[-1].at_ns - text[0] >= 28_000_000


def test_a_stop_sequence_that_is_none_is_refused(sim_of: Any) -> None:
    assert ask(sim_of(dialect="openai").port, chat_body(stop=3)).status == 400


# One model

FOUND = {"openai": 200, "lmx": 404, "ollama": 200, "lmstudio": 200, "llamacpp": 404, "mlx-lm": 200, "vllm": 404}


@pytest.mark.parametrize("dialect", NAMES)
def test_one_model_is_shown_where_the_server_can(dialect: str, sim_of: Any) -> None:
    sim = sim_of(dialect=dialect, models=("org/a-model",))
    known = ask(sim.port, path="/v1/models/org/a-model")
    unknown = ask(sim.port, path="/v1/models/org/no-model")

    assert known.status == FOUND[dialect]
    if dialect in ("openai", "ollama"):
        assert (known.json["id"], known.json["object"]) == ("org/a-model", "model")
        assert (unknown.status, "error" in unknown.json) == (404, True)
        assert ask(sim.port, path="/v1/models/org%2Fa-model").json == known.json
    if dialect == "mlx-lm":  # always a list
        assert [model["id"] for model in known.json["data"]] == ["org/a-model"]
        assert unknown.json["data"] == []
