from collections.abc import Callable
from dataclasses import replace

from lmx_loadgen.analysis.run_view import RunView, same_work
from lmx_loadgen.profile.load_point import short_labels
from lmx_loadgen.report.palette import SERIES_COLOURS, dark_to_light, series_styles
from lmx_loadgen.report.run_loader import labeled_views
from lmx_loadgen.report.view import Series, failures_of, level_notes, series_of, target_notes
from tests.helpers.measured_views import with_lines

Loader = Callable[..., RunView]


def test_one_run_names_its_targets_as_they_are(load_run: Loader) -> None:
    assert [one.name for one in series_of([load_run("head-to-head")])] == ["lmx", "ollama"]


def test_targets_of_several_runs_are_told_apart_and_keep_their_colour(load_run: Loader) -> None:
    series = series_of([load_run("head-to-head", "Monday"), load_run("head-to-head", "Tuesday")])

    assert [one.name for one in series] == ["lmx · Monday", "ollama · Monday", "lmx · Tuesday", "ollama · Tuesday"]
    assert series[0].style.colour == series[2].style.colour != series[1].style.colour
    assert series[0].style.dash != series[2].style.dash
    assert series[0].style.symbol != series[2].style.symbol


def test_the_model_tells_targets_apart_where_it_can(load_run: Loader) -> None:
    names = [one.name for one in series_of([load_run("failed", "a"), load_run("head-to-head", "b")])]

    assert names == ["ollama · qwen2.5:7b", "lmx", "ollama · qwen2.5:7b-instruct-q4_K_M"]


def test_each_request_belongs_to_the_series_of_its_target_and_level(load_run: Loader) -> None:
    series = series_of([load_run("head-to-head")])
    assert [len(one.levels) for one in series] == [3, 3]
    for one in series:
        for level in one.levels:
            found = one.requests_of(level)
            assert {(request.target, request.load_point) for request in found} == {(one.name, level.load_point)}
            assert len(found) == level.requests.sent + level.requests.warmup


def test_a_level_without_requests_is_no_error(load_run: Loader) -> None:
    run = replace(load_run("failed"), measured=None)

    assert [one.requests_of(level) for one in series_of([run]) for level in one.levels] == [[], []]


def test_the_same_work_is_the_same_prompts_whatever_their_file_is_called(load_run: Loader) -> None:
    def prompted(file: str, content: str | None) -> Series:
        run = load_run("head-to-head")
        profile = run.result.profile | {"prompts": {"file": file, "cache": "unique"}}
        run = replace(run, result=run.result.model_copy(update={"profile": profile}))
        return series_of([with_lines(run, [], going_on={"prints": {"prompts": content}})])[0]

    assert same_work(prompted("a.jsonl", "1f"), prompted("b.jsonl", "1f"))
    assert not same_work(prompted("a.jsonl", "1f"), prompted("a.jsonl", "2e"))
    assert not same_work(prompted("a.jsonl", "1f"), prompted("b.jsonl", None))
    assert same_work(prompted("a.jsonl", None), prompted("a.jsonl", None))


def test_failures_of_all_levels_are_added_up(load_run: Loader) -> None:
    run = load_run("failed")

    assert failures_of(run.result.targets[0]) == [("HTTP error 503", "server busy, please try again", 10)]


def test_notes_say_what_weakens_the_figures(load_run: Loader) -> None:
    level = load_run("head-to-head").result.targets[0].levels[0]
    weak = {"notes": ["the ramp is included"], "tainted": ["the client was busy"], "complete": False}

    assert level_notes(level.model_copy(update=weak)) == [
        "the ramp is included",
        "tainted: the client was busy",
        "the level was not finished",
    ]


def test_a_note_about_some_levels_names_them(load_run: Loader) -> None:
    notes = target_notes(load_run("interrupted").result.targets[0], short_labels)

    assert "C=4: the level was not finished" in notes


def test_every_colour_has_a_counterpart_on_the_light_page() -> None:
    light = dark_to_light()

    assert {look.on_dark for look in series_styles([str(n) for n in range(20)])} <= set(light)
    assert len(set(light.values())) == len(light) == len(SERIES_COLOURS) + 2


def test_runs_of_one_minute_and_even_of_one_second_have_names_of_their_own(load_run: Loader) -> None:
    first = load_run("head-to-head", "24 Nov 10:00")

    def begun(at: str, run_id: str) -> RunView:
        return replace(
            first, result=first.result.model_copy(update={"started_at": f"2026-11-24T{at}", "run_id": run_id})
        )

    runs = labeled_views(
        [
            begun("10:00:01.100Z", "a"),
            begun("10:00:01.900Z", "b"),
            begun("10:00:02.000Z", "c"),
            replace(first, label="24 Nov 09:00"),
        ]
    )

    assert [run.label for run in runs] == [
        "24 Nov 10:00:01 · a",
        "24 Nov 10:00:01 · b",
        "24 Nov 10:00:02",
        "24 Nov 09:00",
    ]
    assert len({one.name for one in series_of(runs)}) == 8
