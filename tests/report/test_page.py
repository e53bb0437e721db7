import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen import __version__
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.report.head_to_head import first_forest, whole_forest
from lmx_loadgen.report.page import build_page
from tests.helpers import make_cards
from tests.helpers.measured_views import lines_of, with_lines
from tests.helpers.outline import Outline
from tests.helpers.snapshots import check_snapshot, numbers_in
from tests.report.conftest import on_day

Loader = Callable[..., RunView]


def page_data(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, dict[str, object]] = json.loads(found[1])
    return data


def section(page: str, key: str) -> str:
    inside = page[page.index(f'<section id="{key}"') :]
    return Outline(inside[: inside.index("</section>")]).text


def test_two_servers_stand_side_by_side_each_rate_with_its_unit(load_run: Loader) -> None:
    text = section(build_page([load_run("head-to-head")]), "figures")

    assert "1 TTFT p50 ms 182 240" in text
    assert "decode p50 22.5 chunks/s 14.7 tok/s" in text
    assert "ok / failed 128 / 0 100 / 28" in text


def test_snapshot_of_the_page_s_text(load_run: Loader) -> None:
    text = Outline(build_page([load_run("head-to-head")])).lines
    top = text[: text.index("Figures\n")]

    check_snapshot("page.txt", top.replace(f"lmx-loadgen {__version__}", "lmx-loadgen VERSION"))


def test_an_incomplete_run_and_a_run_of_failures_say_so_at_the_top(load_run: Loader) -> None:
    interrupted = Outline(build_page([load_run("interrupted")])).text
    assert 0 < interrupted.index("(interrupted)") < interrupted.index("TTFT")
    failed = Outline(build_page([load_run("failed")])).text
    assert 0 < failed.index("all 10 requests failed (HTTP error 503: server busy") < failed.index("TTFT")


def test_the_instruments_error_is_one_sentence_and_no_plus_minus(load_run: Loader) -> None:
    run = load_run("interrupted")
    run.result.targets[0].levels[0].metrics["ttft"].instrument_error = 0.0021
    page = build_page([run])

    assert "timing error under 5 ms" in Outline(page).text
    assert "±2.1" not in page


@pytest.mark.parametrize("where", ["answers", "checks"])
def test_what_came_from_a_server_makes_no_element_and_no_attribute(
    where: str, load_run: Loader, tmp_path: Path
) -> None:
    runs = [load_run("hostile")] if where == "answers" else make_cards.views(tmp_path, "hostile")
    page = Outline(build_page(runs))
    words, times = {
        "answers": ("<script>window.hacked=1;alert(1)</script>", 1),
        "checks": ("<img src=x onerror=window.hacked=20>", 8),
    }[where]

    assert page.tags.count("script") == 3
    assert not {"img", "iframe"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count(words) >= times
    assert "\x1b" not in page.text


def test_embedded_data_cannot_leave_its_element(load_run: Loader) -> None:
    page = build_page([load_run("hostile")])
    start = page.index('id="page-data">') + len('id="page-data">')
    embedded = page[start : page.index("</script>", start)]

    assert not set(embedded) & set("<>&\u2028\u2029")
    assert {"head", "ttft", "decode", "output", "ttft-ecdf", "gap-ecdf", "timeline"} == set(page_data(page)["charts"])


def test_plotly_is_embedded_once_and_the_policy_names_each_script(load_run: Loader) -> None:
    page = build_page([load_run("interrupted"), load_run("failed")])

    assert page.count("* plotly.js v") == 1
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src &#39;none&#39;")
    assert len(re.findall("sha256-", policy)) == 2
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    links = [value for name, value in Outline(page).attributes if name in ("src", "href")]
    assert links[0] == "data:,"
    assert all(link.startswith("#") for link in links[1:])


@pytest.mark.slow
def test_the_page_stays_small_however_much_was_measured(load_run: Loader) -> None:
    run = load_run("head-to-head")
    many = [line for line in lines_of(run) for _ in range(20)]

    page = build_page([replace(with_lines(run, many), label=f"run {n}") for n in range(2)])

    assert len(many) > 10_000
    assert len(page.encode()) < 8_000_000


def test_half_a_surrogate_pair_does_not_keep_the_page_from_being_written(load_run: Loader) -> None:
    run = load_run("interrupted")
    run.result.targets[0].model = "half \ud83d pair"
    *lines, last = lines_of(run)
    changed = with_lines(run, [*lines, last | {"outcome": "reset", "reason": "\udfff"}])

    assert "half � pair" in Outline(build_page([changed]).encode().decode()).text


def test_every_metric_is_explained() -> None:
    text = Outline(build_page([])).text

    assert all(metric.definition in text for metric in METRICS.values())


def test_a_page_of_no_runs_is_a_page() -> None:
    assert "Nothing measured" in Outline(build_page([])).text


def test_what_has_no_data_is_left_out(load_run: Loader) -> None:
    run = load_run("failed")
    run.result.targets[0].levels = []
    page = build_page([run])

    assert "No level was measured." in section(page, "figures")
    assert not [key for key in ("scaling", "distributions", "timeline", "errors") if f'<section id="{key}"' in page]


def test_the_calibration_is_folded_behind_its_one_line(load_run: Loader) -> None:
    run = load_run("head-to-head")
    text = section(build_page([run]), "accuracy")
    assert "Timing error under 0.5 ms" in text
    assert "0.133 / 0.400" in text  # the calibrated TTFT at 16

    run.result.targets[0].levels[0].metrics["ttft"].instrument_error = 2.44
    assert "Timing error up to 2.4 s" in section(build_page([run]), "accuracy")
    run.result.instrument["calibration"] = None
    assert "0.133 / 0.400" not in build_page([run])


def test_prompts_of_several_lengths_are_drawn_apart(load_run: Loader) -> None:
    run = load_run("head-to-head")
    for target in run.result.targets:
        for level in target.levels:
            level.by_prompt_class |= {"long": level.by_prompt_class["short"].model_copy(deep=True)}
            level.by_prompt_class["long"].metrics["ttft"].p50 = 9.0
    page = build_page([run])

    chart: Any = page_data(page)["charts"]["ttft"]
    short, long = (option["figure"]["data"][0]["y"] for option in chart["options"])
    assert long == [9000, 9000, 9000] != short
    assert "short prompts" in section(page, "scaling")
    assert "1 short TTFT p50 ms 182 240" in section(page, "figures")


def test_over_six_runs_a_trend_takes_the_place_of_lines_on_top_of_each_other() -> None:
    data = page_data(build_page([on_day(day) for day in range(10, 17)]))["charts"]

    trend: Any = data["trend-ttft"]
    figure = trend["options"][0]["figure"]
    assert [(trace["name"], len(trace["x"])) for trace in figure["data"]] == [
        ("lmx, concurrency 1", 7),
        ("ollama, concurrency 1", 7),
    ]
    against_load: Any = data["ttft"]
    assert len(against_load["options"][0]["figure"]["data"]) == 2  # of the newest run alone


# Head to head


def test_verdicts_stand_on_top_and_refusals_in_place_of_numbers(load_run: Loader) -> None:
    page = build_page([load_run("head-to-head")])
    text = Outline(page).text.replace("\u00a0", " ")

    (comparison,) = load_run("head-to-head").result.comparisons
    first, *_, refused = comparison.sentences
    assert numbers_in(first)[:2] == [1, 31]
    assert 0 < text.index(first) < text.index("182")
    assert refused in section(page, "comparison").replace("\u00a0", " ")
    assert "Decode char/s refused as above — — — —" in text


def test_the_audit_is_open_where_a_check_failed_with_both_values(load_run: Loader) -> None:
    page = build_page([load_run("head-to-head")])
    text = section(page, "audit")

    assert "passed 4-bit 4-bit" in text
    assert "not known no count no count" in text
    assert "failed 0 % failed 22 % failed" in text
    assert '<details open="">' in page[page.index('<section id="audit"') :]


def test_the_forest_has_a_row_a_figure_and_no_number_for_those_refused(load_run: Loader) -> None:
    (one,) = load_run("head-to-head").result.comparisons
    whole, first = whole_forest(one), first_forest(one)

    assert whole is not None
    assert first is not None
    assert len(whole.rows) == 15
    assert [row.name for row in first.rows][:2] == ["TTFT, C=1", "Decode char/s, C=1"]
    assert [row.middle is None for row in first.rows] == [False] * 3 + [True] * 3
    ttft = whole.rows[0]
    assert (ttft.words, ttft.tone) == ("+31 %", "bad")
    assert ttft.middle is not None
    assert whole.zero < ttft.low < ttft.middle < ttft.high  # B against A, as it is: a longer TTFT lies to the right


def test_blocks_of_both_sides_are_drawn_over_time(load_run: Loader) -> None:
    charts = page_data(build_page([load_run("head-to-head")]))["charts"]
    blocks: Any = charts["blocks-0"]
    first = blocks["options"][0]["figure"]["data"]

    assert [(trace["name"], len(trace["y"])) for trace in first] == [("lmx", 4), ("ollama", 4)]
    assert [trace["x"] == sorted(trace["x"]) for trace in first] == [True, True]


def test_a_comparison_that_was_refused_as_a_whole_draws_no_number(load_run: Loader) -> None:
    page = build_page([load_run("hostile")])

    assert "sim against <b>evil</b>" in Outline(page).text
    assert 'class="forest"' not in page


def test_a_comparison_made_elsewhere_stands_in_for_the_run_s_own(load_run: Loader) -> None:
    run = load_run("head-to-head")
    other = run.result.comparisons[0].model_copy(update={"accepted": "on purpose", "mode": "sequential"})
    text = Outline(build_page([run], comparisons=[other])).text

    assert "accepted: on purpose" in text
    assert "the two were measured in separate runs" in text
