"""Records that are put aside and taken back are the ones that were put, and make the same figures."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lmx_loadgen.analysis import record_store
from lmx_loadgen.analysis.measured_run import MeasuredRun, read_run
from lmx_loadgen.analysis.record_store import Records, by_time, grouped, joined, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.errors import ResultError
from lmx_loadgen.store.log_reader import read_log
from tests.benchmarks.growth import generated
from tests.helpers.made_lines import header_line, request_line, segment_line, steady
from tests.helpers.paths import RUNS

LOGS = sorted(RUNS.glob("*/events.jsonl"))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly anything is kept in memory."""
    monkeypatch.setattr(record_store, "PAGE", 3)
    monkeypatch.setattr(record_store, "PAGES_KEPT", 1)


def bare(records: Sequence[Record]) -> list[Record]:
    return [one._replace(number=0, source=None) for one in records]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.parent.name)
@pytest.mark.usefixtures("small_pages")
def test_a_run_whose_records_are_put_aside_has_the_same_result(log: Path) -> None:
    in_memory = MeasuredRun(read_log(log))
    put_aside = read_run(log)

    assert bare(put_aside.records) == bare(in_memory.records)
    assert summarize(put_aside) == summarize(in_memory)
    for one, other in zip(put_aside.records, MeasuredRun(read_log(log)).records, strict=True):
        assert one.reads == other.reads
        assert one.line == other.line


@pytest.mark.usefixtures("small_pages")
def test_stalls_and_running_counts_are_taken_back(tmp_path: Path) -> None:
    reads = [(100.0 + 20 * at, [f"content:w{at} ", f"usage:{at + 1}"]) for at in range(5)]
    lines = [request_line(reads, id=id, stalls=[[0, 20_000_000]], notes=["held_open"]) for id in range(9)]
    folder = tmp_path / "run"
    folder.mkdir()
    stored_lines(folder / "events.jsonl", header_line(), *lines, segment_line(0, 1, 2000))
    run = read_run(folder / "events.jsonl")

    assert {one.stalls[0].lag_ns for one in run.records} == {20_000_000}
    assert {(one.running_first, one.running_last, one.running) for one in run.records} == {(1, 5, (1, 2, 3, 4, 5))}


def stored_lines(path: Path, *lines: object) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


CHOICES: dict[str, Callable[[Sequence[Record]], Sequence[Record]]] = {
    "where": lambda records: where(records, lambda one: one.id % 2 == 0),
    "by time": lambda records: by_time(records, lambda one: -one.end_ns),
    "a group": lambda records: grouped(records, lambda one: one.slot)[1],
    "joined": lambda records: joined([records[:5], records[2:9]]),
    "a slice": lambda records: records[3:8],
}


@pytest.mark.parametrize("choose", CHOICES.values(), ids=CHOICES)
@pytest.mark.usefixtures("small_pages")
def test_what_is_chosen_of_records_is_what_is_chosen_of_a_list(
    choose: Callable[[Sequence[Record]], Sequence[Record]],
) -> None:
    records = read_run(RUNS / "head-to-head" / "events.jsonl").records
    found = choose(records)

    assert isinstance(found, Records)
    assert bare(found) == bare(choose(list(records)))
    assert bare([found[0], found[-1]]) == bare([*found])[:: len(found) - 1]


@pytest.mark.usefixtures("small_pages")
def test_a_page_that_was_put_aside_before_it_was_whole_goes_on(tmp_path: Path) -> None:
    lines = [request_line(steady(), id=id) for id in range(14)]
    store = record_store.RecordStore(lines.__getitem__)
    for line in lines:
        list(store.some(range(len(store))))  # puts aside all but the first page, the last one too
        list(store.some([0] if len(store) else []))
        store.add(line, by_loop=False)

    assert [one.id for one in store.some(range(14))] == list(range(14))


def test_a_log_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    folder = generated(tmp_path / "run", 24, 3, 1)
    run = read_run(folder / "events.jsonl")
    (folder / "events.jsonl").unlink()

    with pytest.raises(ResultError, match="cannot be read any more"):
        _ = run.records[0].line


@pytest.mark.usefixtures("small_pages")
def test_a_run_can_be_looked_at_from_several_threads() -> None:
    run = read_run(RUNS / "head-to-head" / "events.jsonl")
    once = [(one.id, one.reads) for one in run.records]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: [(one.id, one.reads) for one in run.records], range(8)))

    assert found == [once] * 8
