"""Every recorded answer of a real server is read rightly: texts, first token, usage, finish, outcome.

`expected.json` was checked against the recorded bytes with a second, naive reader and by eye.
"""

import json

import pytest

from lmx_loadgen.decode.chat import TEXT_KINDS, read_answer, usage_counts
from lmx_loadgen.targets import DIALECTS
from tests.helpers.recorded import READS, STREAMS, recorded

EXPECTED = json.loads((STREAMS / "expected.json").read_text())
DIALECT_OF = {"llama": "llamacpp", "mlx": "mlx-lm", "ollama": "ollama", "opta": "lmx", "vllm": "vllm"}


def rules_for(name: str):
    return next(DIALECTS[dialect].rules for prefix, dialect in DIALECT_OF.items() if name.startswith(prefix))


def shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:40] + "…" + text[-20:]


@pytest.mark.parametrize("name", sorted(READS))
def test_recorded_answer(name):
    answer = read_answer(recorded(name), READS[name]["endpoint"], rules_for(name))
    texts = [(arrival, kind, text) for arrival, kind, text in answer.events if kind in TEXT_KINDS]
    whole = "".join(text for _, _, text in texts)
    assert {
        "outcome": answer.outcome,
        "reason": answer.reason,
        "text_events": len(texts),
        "kinds": sorted({kind for _, kind, _ in texts}),
        "first_text_arrival": texts[0][0] if texts else None,
        "first_text": texts[0][2] if texts else None,
        "text": shortened(whole),
        "chars": len(whole),
        "usage": list(usage_counts(answer.usage)) if answer.usage else None,
        "finish": answer.finish_reason,
        "model": answer.model,
        "timings": sorted(answer.server_timings)[:3] if answer.server_timings else None,
    } == EXPECTED[name]


def test_every_recording_is_in_the_table():
    assert set(READS) == set(EXPECTED)


@pytest.mark.parametrize("name", [name for name in READS if "/error-" in name or "killed" in name or "queued" in name])
def test_errors_and_kills_are_failures_with_words(name):
    if name.endswith(("error-wrong-model", "error-empty-messages")) and name.startswith("llama-server"):
        pytest.skip("llama-server serves these: see below")
    answer = read_answer(recorded(name), READS[name]["endpoint"], rules_for(name))
    assert answer.outcome != "ok"
    assert answer.reason


def test_llama_server_serves_a_wrong_model_name_and_says_which_model_answered():
    answer = read_answer(recorded("llama-server/error-wrong-model"), "chat", rules_for("llama-server"))
    assert answer.outcome == "ok"
    assert answer.model == "models/x/SmolLM2-135M-Instruct.Q4_1.gguf"


def test_arrivals_point_at_the_read_that_completed_the_event():
    answer = read_answer(recorded("opta-lmx/chat-stream-usage-max8"), "chat", rules_for("opta-lmx"))
    first_content = next(index for index, kind, _ in answer.events if kind == "content")
    role = next(index for index, kind, _ in answer.events if kind == "role")
    assert role == 0
    assert first_content == 1
