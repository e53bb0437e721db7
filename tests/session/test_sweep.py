"""A sweep in ten loads, from idle to overload: which rate follows which, and a whole one on the simulator."""

import json
from pathlib import Path

import pytest

from lmx_loadgen.analysis.sweep import POINTS, Swept
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.profile.models import Load, Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import make_plan
from lmx_loadgen.session.sweep import Sweep
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.result import read_result
from tests.helpers.cli import lmx_loadgen, sentence_of

SWEEP = Load.model_validate({"rate": "sweep"})


def swept_until(most: float, alone: float = 1.0) -> list[float]:
    """The rates of a sweep on a server that keeps up with `most` requests a second."""
    rates: dict[float, bool] = {}
    while (rate := Swept(alone, rates).following) is not None:
        rates[rate] = rate > most
    return list(rates)


def test_rates_double_until_one_is_too_many_and_then_fill_the_widest_gap() -> None:
    assert swept_until(7.0) == [0.5, 1.0, 2.0, 4.0, 8.0, 6.0, 7.0, 5.0, 3.0]


def test_a_rate_that_is_too_many_in_the_middle_closes_what_lies_above() -> None:
    assert swept_until(4.5) == [0.5, 1.0, 2.0, 4.0, 8.0, 6.0, 5.0, 3.0, 4.5]


def test_a_server_that_is_full_with_one_request_is_measured_below_it() -> None:
    assert swept_until(0.3)[:3] == [0.5, 0.25, 0.375]


@pytest.mark.parametrize("most", [0.01, 0.3, 1.0, 5.0, 77.0, 1e9])
def test_a_sweep_ends_within_its_points(most: float) -> None:
    rates = swept_until(most)

    assert len(rates) <= POINTS - 1
    assert len(set(rates)) == len(rates)


def test_targets_take_turns_and_one_that_was_aborted_gets_no_more() -> None:
    profile = Profile(load=SWEEP)
    known: dict[str, dict[float, bool]] = {"a": {}, "b": {}}
    sweep = Sweep(profile, make_plan(profile, ["a", "b"]), lambda name: Swept(1.0, known[name]))
    history = History()
    order = []
    for _ in range(6):
        segment = sweep.next(history)
        assert segment is not None
        order.append(segment)
        if segment.load_point.kind == "open":
            known[segment.target][segment.load_point.rate] = False
        history.add(segment)

    assert [segment.load_point for segment in order[:2]] == [ALONE, ALONE]
    assert {segment.target for segment in order[:2]} == {"a", "b"}
    assert [segment.load_point.label for segment in order[2:]] == ["0.5 req/s", "0.5 req/s", "1 req/s", "1 req/s"]
    assert {segment.target for segment in order[2:4]} == {"a", "b"}
    history.aborted["a"] = Stop("silence", "nothing came")
    following = [sweep.next(history) for _ in range(2)]
    assert [segment.target for segment in following if segment is not None] == ["b", "b"]


def test_a_rate_that_brought_no_request_is_not_measured_again() -> None:
    profile = Profile(load=SWEEP)
    sweep = Sweep(profile, make_plan(profile, ["a"]), lambda name: Swept(1.0, {}))
    history = History()
    while (segment := sweep.next(history)) is not None:
        assert not history.is_finished(segment)
        history.add(segment)

    assert len(history.measured) == POINTS


def test_a_sweep_is_a_load_of_the_profile() -> None:
    assert (SWEEP.sweep, SWEEP.rate, SWEEP.points()) == (True, [], [ALONE])
    assert SWEEP.heaviest().slots == SWEEP.max_in_flight
    assert Load.model_validate(SWEEP.model_dump()) == SWEEP
    assert not Load.model_validate({**SWEEP.model_dump(), "rate": [2]}).sweep


def test_what_decides_how_much_is_measured_does_not_go_with_a_sweep(tmp_path: Path) -> None:
    words = sentence_of(lmx_loadgen("run", "-t", "sim", "--rate", "sweep", "--budget", "1m", "--out", tmp_path))

    assert words == "--budget does not go with --rate sweep, which decides itself what is measured"


def test_a_sweep_of_the_simulator_goes_from_idle_to_overload(tmp_path: Path) -> None:
    """Two slots and answers of 200 ms: ten a second are served. Without a queue, those it turns away say so."""
    with start(SimSettings(ttft_ms=60.0, step_ms=20.0, prefill_tok_s=None, slots=2, queue_limit=0)) as sim:
        flags = ("-t", f"sim={sim.url}", "--duration", "0.8s", "--max-tokens", "8", "--no-calibrate", "--warmup", "0")
        ran = lmx_loadgen("run", *flags, "--rate", "sweep", "--no-stability", "--json", "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    levels = read_result(Path(json.loads(ran.stdout)["folder"])).targets[0].levels

    assert levels[0].load_point == ALONE
    assert 4 <= len(levels) <= POINTS
    assert [level.requests.failed > 0.05 * level.requests.sent for level in levels].count(True) >= 1
