"""What a block leaves behind for the next one."""

import math
import random

import pytest

from lmx_loadgen.analysis.comparison.blocks import Block
from lmx_loadgen.analysis.comparison.carry_over import audit_lines, carry_overs, found_carry_over
from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.profile.load_point import Closed, labels
from tests.helpers.made_sessions import Made, session

NAMES = ("a", "b")
Sides = tuple[list[Block], list[Block]]


def rounds(count: int, after: dict[tuple[str, str], float], seed: int = 1, noise: float = 0.003) -> Sides:
    """AB BA AB …, each block slower by what `after` says of (itself, the one before it)."""
    draw, before = random.Random(seed), None
    sides: dict[str, list[Block]] = {name: [] for name in NAMES}
    for number in range(count):
        for name in NAMES if number % 2 == 0 else NAMES[::-1]:
            value = 0.2 * math.exp(after.get((name, before or ""), 0.0) + draw.gauss(0, noise))
            figures = {key: {"": [value] * 3} for key in ("ttft", "e2e", "decode_tok_s", "longest_stall")}
            sides[name].append(Block(number, float(number), figures, 0, {"output_tok_s": 1 / value}, before))
            before = name
    return sides["a"], sides["b"]


def test_none_is_found_where_there_is_none() -> None:
    false = 0
    for seed in range(300):
        found = carry_overs(*rounds(8, {}, seed, noise=0.03), NAMES)
        (failed,) = found_carry_over([found], 0.001)
        false += bool(failed)

    assert len(found) == 10
    assert false / 300 <= 0.05


def test_blocks_after_the_other_one_are_slower() -> None:
    (failed,) = found_carry_over([carry_overs(*rounds(8, {("a", "b"): 0.1, ("b", "a"): 0.1}), NAMES)], 0.03)

    assert failed["ttft_p50"].effect == pytest.approx(0.1, abs=0.01)
    assert not failed["ttft_p50"].uneven


def test_blocks_after_b_are_slower() -> None:
    """The mean difference stays what it is; alone, B would follow itself."""
    (failed,) = found_carry_over([carry_overs(*rounds(8, {("a", "b"): 0.1, ("b", "b"): 0.1}), NAMES)], 0.03)

    assert failed["ttft_p50"].effect == pytest.approx(-0.1, abs=0.01)
    assert failed["ttft_p50"].uneven


def test_what_is_within_the_margin_does_not_matter() -> None:
    (failed,) = found_carry_over([carry_overs(*rounds(8, {("a", "b"): 0.01, ("b", "a"): 0.01}), NAMES)], 0.03)

    assert failed == {}


def test_the_audit_has_a_line_for_what_was_found_and_for_what_was_not() -> None:
    found = carry_overs(*rounds(8, {("a", "b"): 0.1, ("b", "a"): 0.1}), NAMES)
    clean, none = carry_overs(*rounds(8, {}), NAMES), carry_overs(*rounds(3, {}), NAMES)
    lines = audit_lines({Closed(concurrency=n): of for n, of in ((1, found), (2, clean), (4, none))}, NAMES, 0.03)

    assert {labels(line.load_points): line.status for line in lines} == {
        "concurrency 1": "failed",
        "concurrency 4": "unknown",
        "concurrency 2": "passed",
    }
    assert {line.key for line in lines} == {"carry_over"}
    assert "ttft_p50" in next(line for line in lines if line.status == "failed").metrics


@pytest.mark.parametrize(("other", "verdict", "code"), [(1.0, "undecided", "carry_over"), (1.5, "worse", None)])
def test_a_verdict_that_it_explains_is_taken_back_and_no_other(other: float, verdict: str, code: str | None) -> None:
    def after_the_other(name: str) -> Made:
        def change(line: dict[str, object], number: int) -> dict[str, object]:
            is_after = (number // 8 % 2 == 1) == (name == "lmx")
            slower = 1.12 if is_after and number >= 8 else 1.0
            scale = slower * (other if name == "ollama" else 1.0)
            first = [[round(offset * scale), size] for offset, size in line["arrivals"]]  # type: ignore[attr-defined]
            return line | {"arrivals": first}

        return Made(change=change)

    log = session({name: after_the_other(name) for name in ("lmx", "ollama")}, noise=0.002, blocks=10)
    (comparison,) = comparisons_of(MeasuredRun(log))
    found = comparison.levels[0].metrics["ttft_p50"]

    assert (found.verdict, found.reason_code) == (verdict, code)
    assert [line.status for line in comparison.audit if line.key == "carry_over"] == ["failed"]
