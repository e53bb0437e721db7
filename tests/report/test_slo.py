"""Where an SLO is set, what it says stands wherever figures do."""

import io
import json
from pathlib import Path

from rich.console import Console

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.run_loader import labeled_views, view_of
from lmx_loadgen.report.run_screen import print_run
from lmx_loadgen.report.slo import slo_words
from lmx_loadgen.report.terminal import summary_json
from lmx_loadgen.store.log_reader import LogContents
from tests.analysis.comparison.test_tails import LIMITED, stalling
from tests.helpers.made_sessions import PROFILE, Made, session


def made(limited: bool = True) -> LogContents:
    profile = LIMITED if limited else PROFILE
    return session({"lmx": Made(change=stalling(0.2))}, blocks=6, requests=20, profile=profile)


def test_the_share_has_its_exact_interval_and_the_goodput_stands_beside_it() -> None:
    result = summarize(MeasuredRun(made()))
    words = slo_words(result.targets[0].levels, result.profile)
    share = result.targets[0].levels[0].metrics["slo_share"]

    assert share.n == 120
    assert share.ci95 is not None
    assert share.mean is not None
    assert 0.7 < share.ci95[0] < share.mean < share.ci95[1] < 0.9
    assert words is not None
    assert words.startswith("Within SLO (TTFT within 300 ms): ")
    assert "req/s" in words


def test_without_an_slo_nothing_is_said() -> None:
    result = summarize(MeasuredRun(made(limited=False)))

    assert slo_words(result.targets[0].levels, result.profile) is None
    assert result.targets[0].levels[0].metrics["slo_share"].reason == "the profile sets no SLO"


def test_it_stands_in_the_terminal_in_json_and_on_the_page() -> None:
    log = made()
    result = summarize(MeasuredRun(log))
    words = slo_words(result.targets[0].levels, result.profile)
    out = io.StringIO()
    print_run(result, Path("run"), Console(file=out, width=400), all_notes=True)
    page = build_page(labeled_views([view_of(result, MeasuredRun(log))]))
    level = summary_json(result)["targets"][0]["levels"][0]

    assert words is not None
    assert words in out.getvalue().replace("\N{NO-BREAK SPACE}", " ")
    assert words.split(":")[0] in page.replace("\N{NO-BREAK SPACE}", " ")
    assert json.dumps(level["slo_share"]) == json.dumps(result.targets[0].levels[0].metrics["slo_share"].mean)
    assert level["goodput_req_s"] == result.targets[0].levels[0].metrics["goodput"].mean
