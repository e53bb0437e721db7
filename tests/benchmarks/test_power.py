"""The promise of `--detect`, in few sessions; `python -m tests.benchmarks.power` makes all of them."""

import pytest

from tests.benchmarks.power import WORLDS, found_in

SESSIONS = 10


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_what_is_to_be_found_is_found_as_often_as_promised(name: str) -> None:
    assert list(found_in(*WORLDS[name], range(SESSIONS)).faults()) == []
