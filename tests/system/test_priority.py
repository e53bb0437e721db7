"""Who goes first on a Mac, and whether the run itself is in the background."""

import contextlib
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

    def library(self) -> Any:
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


def test_elsewhere_and_without_the_library_nothing_is_done() -> None:
    for probe in (WithLibrary(), WithLibrary(system="linux", of=Library(0x15))):
        priority.measure_first(probe)
        with priority.giving_way(probe):
            assert probe.of is None or probe.of.quality == 0x15


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
