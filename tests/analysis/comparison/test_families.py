"""Two families of tests: what each may spend, and that no more than α is spent in all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.comparison.families import SHARES, allotted, holm

PS = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def named(ps: list[float], family: str) -> dict[str, float]:
    return {f"{family}{place}": p for place, p in enumerate(ps)}


def test_holm_is_the_textbook_s() -> None:
    # 0.01·4, 0.02·3, 0.03·2, and never below the one before
    assert holm({"a": 0.01, "b": 0.03, "c": 0.02, "d": 0.9}) == pytest.approx(
        {"a": 0.04, "c": 0.06, "b": 0.06, "d": 0.9}
    )
    assert holm({"a": 0.01}, 10) == pytest.approx({"a": 0.1})


@given(PS, PS)
def test_the_corrected_p_says_the_same_as_the_level(first: list[float], second: list[float]) -> None:
    primary, secondary = named(first, "p"), named(second, "s")
    found = allotted((primary, secondary, {}), (len(first), len(second), 0), 0.05)

    for name, p in (primary | secondary).items():
        if abs(found[name].p_adjusted - 0.05) > 1e-9:
            assert (found[name].p_adjusted < 0.05) == (p <= found[name].alpha), name


@given(PS, PS, st.integers(0, 5))
def test_tests_still_to_come_only_make_it_more_careful(first: list[float], second: list[float], more: int) -> None:
    primary, secondary = named(first, "p"), named(second, "s")
    now = allotted((primary, secondary, {}), (len(first), len(second), 0), 0.05)
    later = allotted((primary, secondary, {}), (len(first) + more, len(second) + more, 0), 0.05)

    assert all(later[name].p_adjusted >= now[name].p_adjusted - 1e-12 for name in now)


def test_a_family_whose_every_test_is_significant_passes_its_share_on() -> None:
    nothing = allotted(({"p": 0.5}, {"s": 0.02}, {}), (1, 1, 0), 0.05)
    passed_on = allotted(({"p": 0.001}, {"s": 0.02}, {}), (1, 1, 0), 0.05)
    still_open = allotted(({"p": 0.001}, {"s": 0.02}, {}), (2, 1, 0), 0.05)

    assert nothing["s"].p_adjusted == pytest.approx(0.02 * (SHARES[0] + SHARES[1]) / SHARES[1])
    assert passed_on["s"].p_adjusted == pytest.approx(0.02)
    assert still_open["s"].p_adjusted == nothing["s"].p_adjusted


def test_what_is_passed_on_goes_round() -> None:
    """The secondary family is through at once; the tails get its share, and the primary one what they leave."""
    found = allotted(({"p": 0.045}, {"s": 0.001}, {"t": 0.01}), (1, 1, 1), 0.05)

    assert found["s"].p_adjusted == pytest.approx(0.001 / SHARES[1])
    assert found["t"].p_adjusted == pytest.approx(0.01 / (SHARES[1] + SHARES[2]))
    assert found["p"].p_adjusted == pytest.approx(0.045)
    assert found["p"].alpha == pytest.approx(0.05)


@pytest.mark.parametrize("true_primary", [0, 1, 4])
@pytest.mark.parametrize("true_tails", [0, 2])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_any_false_finding_comes_in_5_percent_at_most(true_primary: int, true_tails: int, correlation: float) -> None:
    """Four primary, six secondary tests and two of tails, of which some find what is there."""
    from scipy.special import ndtr

    draw = np.random.default_rng(true_primary)
    common, own = draw.standard_normal((4000, 1)), draw.standard_normal((4000, 12))
    scores = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    scores[:, :true_primary] += 6
    scores[:, 10 : 10 + true_tails] += 6
    false = 0
    for ps in 2 * ndtr(-np.abs(scores)):
        families = named(ps[:4].tolist(), "p"), named(ps[4:10].tolist(), "s"), named(ps[10:].tolist(), "t")
        found = allotted(families, (4, 6, 2), 0.05)
        nulls = [f"p{n}" for n in range(true_primary, 4)] + [f"s{n}" for n in range(6)]
        nulls += [f"t{n}" for n in range(true_tails, 2)]
        false += any(found[name].p_adjusted <= 0.05 for name in nulls)

    assert false / 4000 <= 0.058  # 5 % and its chance error
