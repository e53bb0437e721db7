"""The truth log says what a client saw, in the same order and on the same clock."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import ResultError
from lmx_loadgen.sim import DIALECT_NAMES
from lmx_loadgen.sim.process import SimProcess
from lmx_loadgen.sim.truth import Truth, read_truth
from lmx_loadgen.system.clock import now_ns
from tests.helpers.sim_client import ask, chat_body, held_slot, request_bytes, text_of

pytestmark = pytest.mark.timing


def truth_of(sim: SimProcess, response_id: str) -> Truth:
    sim.flush()
    assert sim.log_path is not None
    return read_truth(sim.log_path)[response_id]


@pytest.mark.parametrize(
    ("dialect", "engine"),
    [("openai", "independent"), *((name, "batch") for name in DIALECT_NAMES)],
)
def test_truth_matches_what_the_client_saw(dialect: str, engine: str, sim_of: Any) -> None:
    sim = sim_of(dialect=dialect, engine=engine) if engine != "batch" else sim_of(dialect=dialect)
    before = now_ns()
    seen = ask(sim.port, chat_body(stream_options={"include_usage": True}, sim={"tokens_per_chunk": 2}, max_tokens=7))
    after = now_ns()
    truth = truth_of(sim, seen.response_id)
    assert (truth.outcome, truth.fault, truth.status) == ("complete", None, 200)
    assert sum(write.events for write in truth.writes) == len(seen.events)
    assert [write.tokens for write in truth.writes if write.tokens] == [2, 2, 2, 1]
    assert sum(1 for event in seen.events if text_of(event)) == 4
    assert truth.output_tokens == 7
    assert truth.first_text_write == next(i for i, write in enumerate(truth.writes) if write.tokens)
    times = [before, truth.received_ns, truth.read_ns, truth.admitted_ns, truth.planned_first_ns, truth.first_text_ns]
    times += [truth.writes[-1].at_ns, truth.end_ns]
    assert times == sorted(times)
    assert [write.at_ns for write in truth.writes] == sorted(write.at_ns for write in truth.writes)
    assert truth.writes[-1].at_ns < after


def test_headers_and_role_go_out_when_the_dialect_sends_them(sim_of: Any) -> None:
    slow = {"ttft_ms": 100}

    def truth(dialect: str) -> Truth:
        sim = sim_of(dialect=dialect)
        return truth_of(sim, ask(sim.port, chat_body(sim=slow)).response_id)

    lmx, ollama, llama = truth("lmx"), truth("ollama"), truth("llamacpp")
    for early in (lmx, llama):
        assert early.headers_ns is not None
        assert early.first_text_ns is not None
        assert early.first_text_ns - early.headers_ns >= 90_000_000
    assert ollama.headers_ns == ollama.first_text_ns
    assert [write.events for write in lmx.writes[:3]] == [0, 1, 1]  # headers, role, first token
    assert [write.events for write in llama.writes[:2]] == [0, 2]  # headers; role and first token in one


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS has no receive stamps for TCP")
def test_receipt_is_stamped_by_the_kernel(sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    assert sim.stamps == "kernel"
    # The simulator is made to read late: its loop is busy when the request arrives in two parts.
    with socket.create_connection(("127.0.0.1", sim.port)) as sock:
        data = request_bytes("POST", "/v1/chat/completions", chat_body(), {})
        sock.sendall(data[:-5])
        first_part = now_ns()
        sock.sendall(data[-5:])
        whole = now_ns()
        raw = b"".join(iter(lambda: sock.recv(65536), b""))
    assert raw.endswith(b"0\r\n\r\n")
    sim.flush()
    truth = list(read_truth(sim.log_path).values())[-1]
    assert truth.received_how == "kernel"
    assert first_part - 1_000_000 < truth.received_ns < whole + 1_000_000
    assert truth.received_ns <= truth.read_ns


def test_a_client_that_leaves_is_noted(sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    seen = ask(sim.port, chat_body(max_tokens=100_000), enough=3000)
    assert seen.end == "left"
    # The next answer is made after the simulator noticed that the first client had gone.
    ask(sim.port, chat_body())
    truth = truth_of(sim, seen.response_id)
    assert truth.outcome == "client_gone"
    assert truth.client_gone_ns is not None
    assert truth.first_text_ns is not None
    assert truth.output_tokens < 100_000


def test_a_response_under_way_at_the_end_is_logged(tmp_path: Path) -> None:
    from lmx_loadgen.sim.process import start
    from lmx_loadgen.sim.settings import SimSettings

    log = tmp_path / "truth.jsonl"
    with start(SimSettings(ttft_ms=0, step_ms=1, log=str(log))) as sim:
        seen = socket.create_connection(("127.0.0.1", sim.port))
        seen.sendall(request_bytes("POST", "/v1/chat/completions", chat_body(max_tokens=1_000_000), {}))
        seen.recv(1)
    seen.close()
    (truth,) = read_truth(log).values()
    assert truth.outcome == "stopped"


def test_a_burst_loses_nothing(sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    for per_chunk in (1, 3):
        orders = {"burst": True, "tokens_per_chunk": per_chunk}
        seen = ask(sim.port, chat_body(max_tokens=6_000, sim=orders))
        assert seen.framing == "whole"
        truth = truth_of(sim, seen.response_id)
        assert truth.outcome == "complete"
        assert sum(write.tokens for write in truth.writes) == 6_000
        assert sum(write.events for write in truth.writes) == len(seen.events)
        assert (
            seen.text
            == ask(sim.port, chat_body(max_tokens=6_000, stream=False, sim={"burst": True})).json["choices"][0][
                "message"
            ]["content"]
        )


def test_a_reader_that_waits_gets_everything_and_the_writes_say_when(sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    with socket.create_connection(("127.0.0.1", sim.port)) as sock:
        body = chat_body(max_tokens=60_000, sim={"burst": True})
        sock.sendall(request_bytes("POST", "/v1/chat/completions", body, {}))
        start = sock.recv(1)
        ask(sim.port, chat_body())  # others are served while this client does not read
        asked = now_ns()
        raw = start + b"".join(iter(lambda: sock.recv(1 << 20), b""))
    sim.flush()
    truth = max(read_truth(sim.log_path).values(), key=lambda known: known.output_tokens)
    assert raw.count(b"data: ") == 60_003 == sum(write.events for write in truth.writes)
    assert truth.deferred > 0
    assert truth.writes[-1].at_ns > asked


def test_waiting_for_a_slot_is_in_the_log(sim_of: Any) -> None:
    sim = sim_of(slots=1, queue_wait_s=0.1)
    with held_slot(sim.port):
        gave_up = ask(sim.port, chat_body(stream=False))
    assert gave_up.status == 503
    served = ask(sim.port, chat_body())
    truth = truth_of(sim, served.response_id)
    assert truth.slot_wait_ns is not None
    assert truth.outcome == "complete"
    refused = [known for known in read_truth(sim.log_path).values() if known.outcome == "rejected"]
    assert [known.admitted_ns for known in refused] == [None]


def test_llamacpp_timings_agree_with_the_log(sim_of: Any) -> None:
    sim = sim_of(dialect="llamacpp")
    seen = ask(sim.port, chat_body(max_tokens=20))
    said = next(event["timings"] for event in seen.events if "timings" in event)
    truth = truth_of(sim, seen.response_id)
    text = [write.at_ns for write in truth.writes if write.tokens]
    assert said["predicted_n"] == 20
    assert said["predicted_ms"] == pytest.approx((text[-1] - text[0]) / 1e6, abs=0.01)
    assert said["predicted_per_second"] == pytest.approx(19 / (text[-1] - text[0]) * 1e9, rel=0.001)


def test_a_torn_last_line_is_skipped_and_damage_elsewhere_is_not(tmp_path: Path, sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    ask(sim.port, chat_body())
    ask(sim.port, chat_body())
    sim.flush()
    whole = sim.log_path.read_bytes()
    torn, damaged = tmp_path / "torn", tmp_path / "damaged"
    torn.write_bytes(whole[:-40])
    assert len(read_truth(torn)) == len(read_truth(sim.log_path)) - 1
    damaged.write_bytes(b'{"response_id":\n' + whole)
    with pytest.raises(ResultError, match="line 1 of"):
        read_truth(damaged)
    with pytest.raises(ResultError, match="cannot be read"):
        read_truth(tmp_path / "none")
