"""Who goes first, and whether the run itself is in the background."""

import contextlib
import os
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from lmx_loadgen.system import host, priority
from lmx_loadgen.system.probe import Probe
from tests.system.machine import Mac


class Library:
    """libSystem's part in it; `quality` is the thread's class."""

    def __init__(self, quality: int) -> None:
        self.quality = quality

    def qos_class_self(self) -> int:
        return self.quality

    def pthread_set_qos_class_self_np(self, quality: int, relative: int) -> int:
        assert relative == 0
        self.quality = quality
        return 0


@dataclass(frozen=True)
class WithLibrary(Mac):
    of: Any = field(default=None)

    def libsystem(self) -> Any:
        return self.of


def test_a_measuring_process_is_of_the_highest_class() -> None:
    library = Library(0x15)
    priority.measure_first(WithLibrary(of=library))

    assert library.quality == 0x21


@pytest.mark.parametrize(("before", "after"), [(0x19, 0x19), (0x21, 0x21), (0, 0x15)])
def test_decoding_gives_way_and_is_as_it_was_afterwards_also_after_an_error(before: int, after: int) -> None:
    library = Library(before)
    with contextlib.suppress(RuntimeError), priority.giving_way(WithLibrary(of=library)):
        assert library.quality == 0x11
        raise RuntimeError

    assert library.quality == after


def test_who_gives_way_goes_first_while_it_measures_itself() -> None:
    library = Library(0x15)
    probe = WithLibrary(of=library)
    with priority.giving_way(probe):
        with priority.measuring(probe):
            assert library.quality == 0x21
        assert library.quality == 0x11


def test_without_the_library_nothing_is_done() -> None:
    probe = WithLibrary()
    priority.measure_first(probe)
    with priority.giving_way(probe), priority.measuring(probe):
        assert probe.of is None


@dataclass(frozen=True)
class Linux(Probe):
    """A thread on Linux with its policy; changes are noted."""

    system: str = "linux"
    policies: list[int] = field(default_factory=lambda: [0])

    def scheduling_policy(self) -> int | None:
        return self.policies[-1]

    def schedule(self, policy: int) -> None:
        self.policies.append(policy)


def test_decoding_on_linux_pushes_nobody_off_a_core_and_is_as_it_was_afterwards() -> None:
    probe = Linux()
    with contextlib.suppress(RuntimeError), priority.giving_way(probe):
        with priority.measuring(probe):
            assert probe.policies == [0, 3, 0]
        assert probe.policies[-1] == 3
        raise RuntimeError

    assert probe.policies == [0, 3, 0, 3, 0]


def test_a_measuring_process_that_inherited_giving_way_does_not_give_way() -> None:
    probe = Linux(policies=[3])
    priority.measure_first(probe)

    assert probe.policies == [3, 0]


@pytest.mark.parametrize("policy", [1, 2, 5])  # real time, and the idle class, which an ordinary user cannot leave
def test_a_policy_that_the_user_chose_is_kept(policy: int) -> None:
    probe = Linux(policies=[policy])
    priority.measure_first(probe)
    with priority.giving_way(probe):
        pass

    assert probe.policies == [policy]


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies are Linux's")
def test_this_thread_gives_way_and_takes_it_back() -> None:
    before = os.sched_getscheduler(0)
    if before != os.SCHED_OTHER:
        pytest.skip("the tests themselves run with a policy of their own")
    with priority.giving_way():
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize(
    ("own", "late_s", "background"),
    [(0, 0.0001, False), (4, 0.0001, True), (0, 0.09, True), (None, 0.0001, False), (None, None, None)],
)
def test_the_background_is_seen_by_priority_or_by_timers(
    own: int | None, late_s: float | None, background: bool | None
) -> None:
    found = host.facts(Mac(own_priority=own, late_s=late_s))

    assert found["background"] is background


def test_a_test_timer_is_not_early() -> None:
    late_s = Probe().timer_late_s()

    assert late_s is not None
    assert late_s >= 0


def test_an_unknown_kind_of_priority_is_no_answer() -> None:
    assert Probe().priority(99) is None
    assert Probe().clock_ns("CLOCK_OF_ANOTHER_SYSTEM") is None
