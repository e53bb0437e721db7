"""Power, energy and heat as the terminal and the page show them: one line, with what is known alone."""

from collections.abc import Callable
from typing import Any

from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.report.findings import findings
from lmx_loadgen.report.power import power_words
from lmx_loadgen.report.run_parts import what_was_run
from lmx_loadgen.report.terminal import summary_json
from lmx_loadgen.report.view import series_of
from lmx_loadgen.store.result import LevelResult, ObservedResult, TargetResult, read_result
from tests.helpers.paths import RUNS

Loader = Callable[..., RunView]

FIGURES = {
    "system_power_w": 58.94,
    "gpu_power_w": 31.2,
    "cpu_power_w": 4.0,
    "tokens_per_joule": 0.8532,
    "gpu_temp_max_c": 66.4,
    "gpu_clock_share": 0.968,
}


def level(concurrency: int = 1, exact: bool = True, **changes: Any) -> LevelResult:
    observed = ObservedResult(source="macmon", seconds=20, **{**FIGURES, **changes})
    changed = {"load_point": Closed(concurrency=concurrency), "token_basis_exact": exact, "observed": observed}
    return target().levels[0].model_copy(update=changed)


def target(*levels: LevelResult) -> TargetResult:
    stored = read_result(RUNS / "head-to-head").targets[0]
    return stored.model_copy(update={"levels": list(levels)}) if levels else stored


def words(*levels: LevelResult) -> tuple[str, bool]:
    found = power_words(target(*levels))
    assert found is not None
    return found


def test_a_level_with_all_its_figures() -> None:
    assert words(level()) == (
        "C=1 machine 58.9 W, GPU 31.2 W, CPU 4.0 W, 0.853 tok/J; GPU up to 66 °C; "
        "GPU clock at least 97 % of its first minute (macmon)",
        True,
    )


def test_of_several_levels_the_worst_heat_and_clock_count() -> None:
    line, kept_its_clock = words(level(), level(4, gpu_temp_max_c=101.0, gpu_clock_share=0.62))

    assert "; C=4 machine 58.9 W" in line
    assert "up to 101 °C" in line
    assert "at least 62 %" in line
    assert not kept_its_clock


def test_what_is_not_known_is_left_out() -> None:
    unknown = dict.fromkeys(FIGURES)
    only_gpu = level(4, **unknown | {"gpu_power_w": 31.2})

    assert words(level(**unknown), only_gpu) == ("C=4 GPU 31.2 W (macmon)", True)
    assert power_words(target(level(**unknown))) is None
    assert power_words(target()) is None


def test_a_rate_of_chunks_gives_chunks_per_joule() -> None:
    assert "0.853 chunks/J" in words(level(exact=False))[0]


def test_it_is_a_note_in_the_terminal_a_row_on_the_page_and_a_figure_in_json(load_run: Loader) -> None:
    run = load_run("head-to-head")
    run.result.targets[0].levels[0].observed = level().observed
    line, _ = words(run.result.targets[0].levels[0])
    boxes = what_was_run([run], series_of([run])).boxes

    assert (f"power: {line}", True) in findings(run.result.targets[0])
    assert not any(one.startswith("power") for one, _ in findings(run.result.targets[1]))
    assert [("Power and heat", line) in box.parts[0].pairs for box in boxes] == [True, False, False]
    assert summary_json(run.result)["targets"][0]["levels"][0]["observed"]["gpu_power_w"] == 31.2
