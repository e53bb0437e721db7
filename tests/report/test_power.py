"""Power, energy and heat as the terminal and the page show them: one line, with what is known alone."""

from collections.abc import Callable
from typing import Any

import pytest

from lmx_loadgen.report.findings import findings
from lmx_loadgen.report.power import power_words
from lmx_loadgen.report.tables import target_notes
from lmx_loadgen.report.terminal import summary_json
from lmx_loadgen.report.view import RunView, series_of
from lmx_loadgen.store.result import ObservedResult
from tests.helpers.made_lines import point

Loader = Callable[..., RunView]

FIGURES = {
    "system_power_w": 58.94,
    "gpu_power_w": 31.2,
    "cpu_power_w": 4.0,
    "tokens_per_joule": 0.8532,
    "gpu_temp_max_c": 66.4,
    "gpu_clock_share": 0.968,
}


def level(concurrency: int = 1, exact: bool = True, **changes: Any) -> dict[str, Any]:
    observed = ObservedResult(source="macmon", seconds=20, **{**FIGURES, **changes})
    return {"load_point": point(concurrency), "token_basis_exact": exact, "observed": observed.model_dump()}


def words(*levels: dict[str, Any]) -> tuple[str, bool]:
    found = power_words({"levels": levels})
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
    assert power_words({"levels": [level(**unknown)]}) is None
    assert power_words({"levels": [{"concurrency": 1, "observed": None}, {"concurrency": 2}]}) is None


def test_a_rate_of_chunks_gives_chunks_per_joule() -> None:
    assert "0.853 chunks/J" in words(level(exact=False))[0]


@pytest.fixture
def run(load_run: Loader) -> RunView:
    found = load_run("head-to-head")
    found.result["targets"][0]["levels"][0]["observed"] = level()["observed"]
    return found


def test_the_terminal_has_a_line_and_the_page_a_row(run: RunView) -> None:
    line, _ = words(run.result["targets"][0]["levels"][0])
    row = f"<dt>Power and heat</dt><dd>{line}</dd>"

    assert (f"power: {line}", True) in findings(run.result["targets"][0])
    assert not any(one.startswith("power") for one, _ in findings(run.result["targets"][1]))
    assert str(target_notes(series_of([run]))).count(row) == 1


def test_the_json_summary_has_the_figures(run: RunView) -> None:
    assert summary_json(run.result)["targets"][0]["levels"][0]["observed"]["gpu_power_w"] == 31.2
