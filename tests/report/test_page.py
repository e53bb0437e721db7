import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lmx_loadgen import __version__
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.view import RunView
from lmx_loadgen.store.tools_vs_truth import ToolsVsTruth
from tests.helpers.measured_views import lines_of, with_lines
from tests.helpers.outline import Outline
from tests.helpers.snapshots import check_snapshot, numbers_in

Loader = Callable[..., RunView]


def page_data(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, dict[str, object]] = json.loads(found[1])
    return data


def test_the_page_shows_each_level_with_its_figures(load_run: Loader) -> None:
    text = Outline(build_page([load_run("head-to-head")])).text

    assert "lmx and ollama" in text
    assert "mlx-community/Qwen2.5-7B-Instruct-4bit" in text
    assert "1,183" in text
    assert "100 / 28" in text
    assert "not exact" in text


def test_snapshot_of_the_page_s_text(load_run: Loader) -> None:
    text = Outline(build_page([load_run("head-to-head")])).lines

    check_snapshot("page.txt", text.replace(f"lmx-loadgen {__version__}", "lmx-loadgen VERSION"))


def test_an_incomplete_run_and_a_run_of_failures_say_so_at_the_top(load_run: Loader) -> None:
    interrupted = Outline(build_page([load_run("interrupted")])).text
    assert 0 < interrupted.index("(interrupted)") < interrupted.index("TTFT")
    failed = Outline(build_page([load_run("failed")])).text
    assert 0 < failed.index("all 10 requests failed") < failed.index("TTFT")


def test_the_instruments_error_stands_beside_its_figure(load_run: Loader) -> None:
    run = load_run("interrupted")
    run.result["targets"][0]["levels"][0]["metrics"]["ttft"]["instrument_error"] = 0.0021

    assert Outline(build_page([run])).text.count("±2.1") == 2


def test_what_came_from_a_server_makes_no_element_and_no_attribute(load_run: Loader) -> None:
    page = Outline(build_page([load_run("hostile")]))

    assert page.tags.count("script") == 3
    assert not {"img", "iframe", "a", "b"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>window.hacked=1;alert(1)</script>" in page.text
    assert "\x1b" not in page.text


def test_embedded_data_cannot_leave_its_element(load_run: Loader) -> None:
    page = build_page([load_run("hostile")])
    start = page.index('id="page-data">') + len('id="page-data">')
    embedded = page[start : page.index("</script>", start)]

    assert not set(embedded) & set("<>&\u2028\u2029")
    assert {"ttft", "decode", "output", "ttft-ecdf", "gap-ecdf", "timeline", "errors"} == set(page_data(page)["charts"])


def test_plotly_is_embedded_once_and_the_policy_names_each_script(load_run: Loader) -> None:
    page = build_page([load_run("interrupted"), load_run("failed")])

    assert page.count("* plotly.js v") == 1
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src &#x27;none&#x27;")
    assert len(re.findall("sha256-", policy)) == 2
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    links = [value for name, value in Outline(page).attributes if name in ("src", "href")]
    assert links == ["data:,"]


@pytest.mark.slow
def test_the_page_stays_small_however_much_was_measured(load_run: Loader) -> None:
    run = load_run("head-to-head")
    many = [line for line in lines_of(run) for _ in range(60)]

    page = build_page([replace(with_lines(run, many), label=f"run {n}") for n in range(4)])

    assert len(many) > 10_000
    assert len(page.encode()) < 8_000_000


def test_half_a_surrogate_pair_does_not_keep_the_page_from_being_written(load_run: Loader) -> None:
    run = load_run("interrupted")
    run.result["targets"][0]["model"] = "half \ud83d pair"
    lines_of(run)[-1] |= {"outcome": "reset", "reason": "\udfff"}

    assert "half � pair" in Outline(build_page([run]).encode().decode()).text


def test_every_metric_is_explained() -> None:
    text = Outline(build_page([])).text

    assert all(metric.definition in text for metric in METRICS.values())


def test_a_page_of_no_runs_is_a_page() -> None:
    assert "Nothing measured" in Outline(build_page([])).text


def test_a_target_without_a_level_is_drawn(load_run: Loader) -> None:
    run = load_run("failed")
    run.result["targets"][0]["levels"] = []

    assert "no level was run" in Outline(build_page([run])).text


def test_the_instrument_s_own_error_and_the_tools_table_are_on_the_page(load_run: Loader) -> None:
    peers = ToolsVsTruth.model_validate(
        {
            "date": "2026-11-23",
            "machine": "two cores",
            "settings": {},
            "tools": [
                {"name": "ours", "version": "1", "ttft_error_ms": {16: {"p50": 0.1, "p99": -0.25}}},
                {"name": "<b>theirs</b>", "version": "2", "ttft_error_ms": {64: {"p50": 1.0, "p99": 40.5}}},
            ],
        }
    )
    page = build_page([load_run("head-to-head")], peers)
    text = Outline(page).text

    assert "0.133 / 0.400" in text  # the calibrated TTFT at 16
    assert "+0.10 / -0.25" in text
    assert "<b>theirs</b>" in text  # as words, not as markup
    assert '"tools-vs-truth"' in page


def test_a_run_that_was_not_calibrated_is_said_to_be_on_the_page(load_run: Loader) -> None:
    run = load_run("head-to-head")
    run.result["instrument"]["calibration"] = None

    assert "0.133 / 0.400" not in Outline(build_page([run])).text
    assert "calibrated" in Outline(build_page([run])).text


# Head to head


def test_verdicts_stand_on_top_and_refusals_in_place_of_numbers(load_run: Loader) -> None:
    text = Outline(build_page([load_run("head-to-head")])).text.replace("\u00a0", " ")

    (comparison,) = load_run("head-to-head").result["comparisons"]
    first, *_, refused = comparison["sentences"]
    assert numbers_in(first)[:2] == [24, 1]
    assert numbers_in(refused)[0] == 16
    assert 0 < text.index(first) < text.index("182")
    assert refused in text
    assert "TTFT ms — — — — refused " in text
    assert "Decode char/s — — — — refused " in text


def test_the_audit_is_a_table_with_each_check_and_both_values(load_run: Loader) -> None:
    text = Outline(build_page([load_run("head-to-head")])).text

    assert "passed 4-bit 4-bit" in text
    assert "not known no count no count" in text
    assert "failed 0 % failed 22 % failed" in text


def test_the_forest_plot_has_a_row_a_figure_and_words_for_those_refused(load_run: Loader) -> None:
    charts = page_data(build_page([load_run("head-to-head")]))["charts"]
    forest: Any = charts["forest-0"]
    figure = forest["options"][0]["figure"]
    rows = {name: x for trace in figure["data"] for name, x in zip(trace["y"], trace["x"], strict=True)}

    assert len(figure["layout"]["yaxis"]["categoryarray"]) == 15
    assert rows["C=1  TTFT"] == pytest.approx(-23.86, abs=0.01)  # a time: turned round
    assert rows["C=1  Decode char/s"] < 0
    texts = [note["text"] for note in figure["layout"]["annotations"]]
    assert len(texts) == 5
    assert all(text.startswith("no verdict: ") for text in texts)
    assert "C=16  TTFT" not in rows


def test_blocks_of_both_sides_are_drawn_over_time(load_run: Loader) -> None:
    charts = page_data(build_page([load_run("head-to-head")]))["charts"]
    blocks: Any = charts["blocks-0"]
    first = blocks["options"][0]["figure"]["data"]

    assert [(trace["name"], len(trace["y"])) for trace in first] == [("lmx", 4), ("ollama", 4)]
    assert [trace["x"] == sorted(trace["x"]) for trace in first] == [True, True]


def test_a_comparison_that_was_refused_as_a_whole_draws_no_number(load_run: Loader) -> None:
    page = build_page([load_run("hostile")])
    text = Outline(page).text

    assert "sim against <b>evil</b>" in text
    assert "forest-0" not in page_data(page)["charts"]


def test_a_comparison_made_elsewhere_stands_in_for_the_run_s_own(load_run: Loader) -> None:
    from lmx_loadgen.store.comparison import Comparison

    run = load_run("head-to-head")
    other = Comparison.model_validate(run.result["comparisons"][0] | {"accepted": "on purpose", "mode": "sequential"})
    text = Outline(build_page([run], comparisons=[other])).text

    assert "accepted: on purpose" in text
    assert "Sequential: lmx and ollama" in text
