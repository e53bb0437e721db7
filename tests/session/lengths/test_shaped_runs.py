"""Whole runs of shapes on the simulator: lengths, limits, resumed runs, and prompts that were cut."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.profile.models import Load, Profile, TargetSpec
from lmx_loadgen.profile.shape import Shape
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import estimate_s, make_plan, stability_points
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.result import LevelResult, RunResult

FAST = {"ttft_ms": 1.0, "step_ms": 0.5, "prefill_tok_s": None}


def measured(tmp_path: Path, settings: SimSettings, targets: int = 1, **load: Any) -> tuple[RunResult, LogContents]:
    with start(settings) as sim:
        specs = [TargetSpec(name=f"s{number}", url=sim.url, dialect=settings.dialect) for number in range(targets)]
        profile = Profile(targets=specs, load=Load(**{"requests": 3, "pause": 0, **load}))
        options = Options(tmp_path, probe_cache=False)
        outcome = run_blocking(profile, options=options, stop=StopFlag(), base_dir=tmp_path, view=Silent())
    return outcome.result, read_log(outcome.folder / "events.jsonl")


def levels(result: RunResult) -> list[LevelResult]:
    return result.targets[0].levels


def test_prompts_and_answers_have_the_lengths_that_were_asked_for(tmp_path: Path) -> None:
    result, log = measured(tmp_path, SimSettings(**FAST, stop_after=5), shapes="128:8,512:16,2048:4")

    assert [level.load_point.label for level in levels(result)] == [
        "128→8 at concurrency 1",
        "512→16 at concurrency 1",
        "2048→4 at concurrency 1",
    ]
    for level, (prompt, answer) in zip(levels(result), [(128, 8), (512, 16), (2048, 4)], strict=True):
        assert level.shape is not None
        assert level.shape.prompt_tokens == (prompt, prompt)
        assert level.shape.exact
        assert level.shape.status == "passed"
        assert level.shape.counted_by == "usage"
        assert level.shape.output_tokens is not None
        assert level.shape.output_tokens[1] <= answer
        assert f"prompts have {prompt:,} tokens" in level.shape.sentence
        assert not any("prompts" in note for note in level.notes)
    sent = [line for line in log.requests if line["phase"] == "measured"]
    assert {(line["prompt_id"], line["max_tokens"]) for line in sent} == {
        ("128:8-1", 8),
        ("512:16-1", 16),
        ("2048:4-1", 4),
    }
    assert len({line["nonce"] for line in sent}) == len(sent)


def test_each_shape_is_measured_at_each_concurrency() -> None:
    points = Load(shapes="512:8,128:8", concurrency=[1, 4]).points()  # type: ignore[arg-type]

    assert [point.short for point in points] == ["512→8 at C=1", "512→8 at C=4", "128→8 at C=1", "128→8 at C=4"]
    assert [point.cell for point in sorted(points, key=lambda one: one.order)][:2] == ["128→8 at 1", "128→8 at 4"]


def test_shapes_replace_the_profile_s_levels_unless_concurrency_is_given_too() -> None:
    shapes = {"load.shapes": "512:8"}
    alone = asked_profile("quick", overrides=shapes)
    both = asked_profile("quick", overrides={**shapes, "load.concurrency": [2, 3]})

    assert alone.load.points() == [Closed(concurrency=1, shape=Shape(prompt=512, answer=8))]
    assert [point.slots for point in both.load.points()] == [2, 3]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("512", "must be the tokens of a prompt and of its answer, like 512:128"),
        ("0:5", "greater than or equal to 1"),
        ("512:8, 512:8", "must not name a shape twice"),
        ("512:x", "like 512:128"),
    ],
)
def test_a_shape_that_is_none_is_one_sentence_with_its_flag(written: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        asked_profile("quick", overrides={"load.shapes": written}, flags={"load.shapes": "--shape"})
    assert str(caught.value).startswith("--shape")


def test_what_a_load_point_of_a_shape_is_stored_as() -> None:
    point = Closed(concurrency=4, shape=Shape(prompt=512, answer=8))
    stored = json.loads(point.model_dump_json())

    assert stored == {"kind": "closed", "concurrency": 4, "shape": {"prompt": 512, "answer": 8}}
    assert Closed.model_validate(stored) == point
    assert "shape" not in Closed(concurrency=4).model_dump()


def test_an_estimate_goes_by_the_answer_s_length() -> None:
    long, short = (Profile(load=Load(shapes=shapes, requests=4)) for shapes in ("64:1000", "64:10"))  # type: ignore[arg-type]

    assert estimate_s(long, make_plan(long, ["a"])) > 10 * estimate_s(short, make_plan(short, ["a"]))


def test_answers_are_compared_at_each_concurrency_once() -> None:
    profile = Profile(load=Load(shapes="64:8,128:8", concurrency=[1, 4]))  # type: ignore[arg-type]

    assert stability_points(profile) == [Closed(concurrency=1), Closed(concurrency=4)]


def test_a_prompt_that_the_server_cuts_fails_by_name(tmp_path: Path) -> None:
    settings = SimSettings(**FAST, dialect="ollama", context=600)
    result, _ = measured(tmp_path, settings, shapes="512:8,2048:8")
    whole, cut = levels(result)

    assert whole.shape is not None
    assert whole.shape.status == "passed"
    assert cut.shape is not None
    assert cut.shape.status == "failed"
    assert re.match("prompts were cut: about 2,04. tokens were sent, and the server counted 600;", cut.shape.sentence)
    assert cut.shape.sentence in cut.notes


def test_a_comparison_of_cut_prompts_is_refused_although_both_were_cut(tmp_path: Path) -> None:
    settings = SimSettings(**FAST, dialect="ollama", context=600)
    _, log = measured(tmp_path, settings, targets=2, shapes="2048:4", blocks=3)
    (comparison,) = comparisons_of(MeasuredRun(log))
    (finding,) = [one for one in comparison.audit if one.key == "prompt_tokens"]

    assert finding.status == "failed"
    assert "prompts were cut" in finding.sentence


def test_a_server_that_refuses_the_length_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--shape 2048:8: s0 refuses a prompt of that length .*context"):
        measured(tmp_path, SimSettings(**FAST, dialect="llamacpp", context=600), shapes="2048:8")
    assert not list(tmp_path.iterdir())


def test_where_a_stream_s_usage_is_an_estimate_the_rate_goes_by_the_length_that_was_fitted(tmp_path: Path) -> None:
    result, _ = measured(tmp_path, SimSettings(ttft_ms=20.0, step_ms=0.5, dialect="lmx"), shapes="256:8", requests=5)
    (level,) = levels(result)
    ttft = level.metrics["ttft"].p50

    assert level.shape is not None
    assert ttft is not None
    assert level.shape.prompt_tokens is None
    assert level.shape.output_tokens is None  # its stream counts chunks
    assert level.shape.prompt_tok_s == pytest.approx(256 / ttft, rel=0.05)
