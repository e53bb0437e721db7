"""The report as Markdown, CSV and PNG, and `plot` from flags to files."""

import csv
import importlib.util
import io
import os
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis import request_rows
from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.errors import InputError
from lmx_loadgen.report import csv as csv_report
from lmx_loadgen.report import markdown, png
from lmx_loadgen.report.card_data import cards_of
from lmx_loadgen.report.head_to_head import of_runs
from lmx_loadgen.report.view import Series, series_of
from lmx_loadgen.store.imported import imported_store, marked
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import RunResult, write_result
from tests.helpers import make_cards
from tests.helpers.browsers import BROWSERS
from tests.helpers.cli import lmx_loadgen
from tests.helpers.paths import DATA
from tests.helpers.snapshots import check_snapshot


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the three runs."""
    # Results filled in by hand are not what their logs give: only folders of fixtures not named so are held to that.
    folder = tmp_path_factory.mktemp("test_made_up")
    for run in make_cards.views(folder, *make_cards.THREE):
        name = next(
            name for name in make_cards.THREE if run.result.started_at in (folder / name / "events.jsonl").read_text()
        )
        write_result(folder / name, run.result)
    return folder


def plot(results: Path, *words: str) -> Result:
    return lmx_loadgen("plot", "--results-dir", str(results), "--no-open", *words)


def hostile(folder: Path) -> list[Series]:
    return series_of(make_cards.views(folder, "hostile"))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# ---- Markdown ----------------------------------------------------------------------------------------


def test_markdown_has_the_summary_the_verdicts_and_each_model(results: Path) -> None:
    done = plot(results, "--format", "markdown")

    assert (done.exit_code, done.output.strip()) == (0, str(results / "report.md"))
    check_snapshot("report.md", (results / "report.md").read_text(encoding="utf-8"))


def test_markdown_says_what_weakens_figures_and_who_measured_them(tmp_path: Path, results: Path) -> None:
    assert plot(results, "--format", "markdown", "--output", str(results / "all.md")).exit_code == 0
    imported = imported_store(tmp_path).save(marked(make_cards.own_benchmark("theirs")))
    assert imported.exists()
    assert plot(tmp_path, "--format", "markdown").exit_code == 0
    failed = make_cards.views(tmp_path / "failed", "failures")

    assert "chunks, not tokens" in (results / "all.md").read_text()
    assert "- **insufficient data**" in markdown.report(cards_of(series_of(failed), []), [])
    assert "- imported: " in (tmp_path / "report.md").read_text()
    assert "Hypothesis" not in (tmp_path / "report.md").read_text()


def test_markdown_shows_what_a_server_wrote_and_does_nothing_with_it(tmp_path: Path) -> None:
    runs = make_cards.views(tmp_path, "hostile")
    text = markdown.report(cards_of(series_of(runs), of_runs(runs)), of_runs(runs))

    assert "\\<img src=x onerror=window.hacked=20\\>" in text
    assert "<img" not in text.replace("\\<img", "")
    assert "\x1b" not in text


# ---- CSV ---------------------------------------------------------------------------------------------


def test_csv_has_a_row_for_each_target_level_and_metric(results: Path) -> None:
    assert plot(results, "--format", "csv", "--output", str(results / "all.csv")).exit_code == 0
    with (results / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    keys = {(row["run_id"], row["target"], row["load_point"], row["metric"]) for row in rows}
    assert len(keys) == len(rows)
    levels = sum(
        len(target.levels)
        for name in make_cards.THREE
        for target in RunResult.model_validate_json((results / name / "result.json").read_bytes()).targets
    )
    assert len(rows) == levels * len(METRICS)
    place = ("7hree002", "lmx", "concurrency 1", "ttft")
    (row,) = [r for r in rows if (r["run_id"], r["target"], r["load_point"], r["metric"]) == place]
    assert float(row["ci95_low"]) < float(row["mean"]) < float(row["ci95_high"])
    assert (row["unit"], row["better"], row["token_basis"], row["token_basis_exact"]) == ("s", "lower", "events", "no")


def test_csv_per_request_has_a_row_for_each_request(results: Path, tmp_path: Path) -> None:
    done = plot(results, "--format", "csv", "--per", "request")
    assert (done.exit_code, done.stdout.strip()) == (0, str(results / "requests.csv"))
    one = plot(results, "--format", "csv", "--per", "request", str(results / "first"), "--output", str(tmp_path / "1"))
    assert one.exit_code == 0

    logs = {name: read_log(results / name / "events.jsonl") for name in make_cards.THREE}
    rows = read((results / "requests.csv").read_text(encoding="utf-8"))
    assert len(rows) == sum(len(log.requests) for log in logs.values())
    assert {row["run_id"] for row in rows} == {log.header["run_id"] for log in logs.values()}
    assert len(read((tmp_path / "1").read_text(encoding="utf-8"))) == len(logs["first"].requests)
    (results / "requests.csv").unlink()


@pytest.mark.parametrize("shape", ["html", "markdown", "png"])
def test_rows_of_requests_are_csv_alone(results: Path, shape: str) -> None:
    done = plot(results, "--format", shape, "--per", "request")

    assert done.exit_code == 2
    assert f"--per request needs --format csv, not {shape}" in done.stderr


def test_requests_of_a_hostile_server_stay_cells_of_one_line() -> None:
    rows = list(request_rows.request_rows(read_run(DATA / "runs" / "hostile" / "events.jsonl")))
    text = csv_report.requests_table(rows)

    assert text.count("\n") == len(rows) + 1
    assert [row["phase"] for row in read(text)] == [row["phase"] for row in rows]


def test_a_figure_that_is_undefined_is_an_empty_cell_and_says_why(tmp_path: Path) -> None:
    rows = read(csv_report.table(series_of(make_cards.views(tmp_path, "failures"))))

    (row,) = [row for row in rows if row["metric"] == "ttft" and row["concurrency"] == "1"]
    assert (row["mean"], row["p95"], row["failed"]) == ("", "", "5")
    assert row["reason"]


def test_imported_results_stand_below_with_what_they_have(tmp_path: Path) -> None:
    rows = read(csv_report.table([], [make_cards.own_benchmark("a-model")]))

    assert [(row["origin"], row["metric"], row["mean"]) for row in rows] == [
        ("imported", "ttft", "0.178"),
        ("imported", "decode_tok_s", "81.9"),
        ("imported", "output_tokens", "200.0"),
    ]


def test_no_text_of_a_server_is_a_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    (one,) = hostile(tmp_path)
    for model in ('=HYPERLINK("http://x")', "+1+1", "-2", "@SUM(A1)", " =1", "\t=1", "\r=1", "＝1"):
        one.target.model = model
        cells = {row["model"] for row in read(csv_report.table([one]))}
        assert all(cell.startswith("'") for cell in cells), cells


@given(st.text(max_size=40))
def test_any_name_stays_one_cell_of_one_line(name: str) -> None:
    text = csv_report.table([], [make_cards.own_benchmark("m").model_copy(update={"model_id": name, "backend": name})])

    rows = read(text)
    assert text.count("\n") == len(rows) + 1 == 4
    assert not rows[0]["model"].lstrip().startswith(("=", "+", "-", "@"))


# ---- PNG ---------------------------------------------------------------------------------------------


def test_the_picture_has_each_series_in_each_of_its_charts_and_once_in_its_key(results: Path) -> None:
    figure = png.overview(series_of(make_cards.views(results, *make_cards.THREE)))

    assert figure is not None
    assert len(figure.data) == 3 * 7
    assert sum(bool(trace.showlegend) for trace in figure.data) == 7
    assert {trace.xaxis for trace in figure.data} == {"x", "x2", "x3"}
    assert figure.data[0].line.color == "#0072b2"  # of the light page


def test_a_run_of_failures_is_drawn_as_its_errors(tmp_path: Path) -> None:
    figure = png.overview(series_of(make_cards.views(tmp_path, "failures")))

    assert figure is not None
    assert list(figure.data[0].y) == ["HTTP error 503"]


def test_nothing_measured_is_no_picture() -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        png.png([])


def test_without_kaleido_it_says_what_to_install(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    done = plot(results, "--format", "png")

    assert done.exit_code == 2
    assert "--format png needs kaleido: pip install 'lmx-loadgen[png]'" in done.output
    assert not (results / "report.png").exists()


@pytest.mark.browser
@pytest.mark.slow
def test_a_png_is_drawn_by_kaleido_in_the_machine_s_browser(results: Path, tmp_path: Path) -> None:
    _skip_without_kaleido()
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium or Chrome found on the PATH")

    done = plot(results, "--format", "png", "--output", str(tmp_path / "charts" / "three.png"))

    assert done.exit_code == 0, done.output
    data = (tmp_path / "charts" / "three.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (2880, 1000)
    assert len(data) > 40_000  # more than an empty frame


@pytest.mark.browser
def test_without_a_browser_it_says_what_to_install(
    results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _skip_without_kaleido()
    import kaleido
    from choreographer.errors import ChromeNotFoundError

    def refuse(*arguments: object, **named: object) -> bytes:
        raise ChromeNotFoundError("no Chrome")

    monkeypatch.setattr(kaleido, "calc_fig_sync", refuse)

    done = plot(results, "--format", "png", "--output", str(tmp_path / "x.png"))

    assert done.exit_code == 2
    assert "found no browser to draw with" in done.output
    assert "Traceback" not in done.output


def _skip_without_kaleido() -> None:
    if importlib.util.find_spec("kaleido") is None:
        if os.environ.get("CI"):
            pytest.fail("kaleido is not installed, and its test must run on CI")
        pytest.skip("kaleido is not installed")


# ---- flags -------------------------------------------------------------------------------------------


def test_the_page_has_the_figures_that_come_with_the_tool_or_those_of_a_file(results: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        '"qwen2.5:7b": {lm_studio: {toks_per_sec: 77.7, source: "my own notes", hardware: "M3 Ultra 96 GB"}}\n'
    )

    assert plot(results).exit_code == 0
    assert "inference-speed-tests" in (results / "report.html").read_text(encoding="utf-8")
    assert plot(results, "--reference", str(mine)).exit_code == 0
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "my own notes" in page
    assert "77.7" in page


def test_a_reference_file_that_cannot_be_used_is_told_by_file_and_key(results: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text('"m:7b": {ollama: {toks_per_sec: 5}}\n')

    done = plot(results, "--reference", str(bad))
    missing = plot(results, "--reference", str(tmp_path / "none.yaml"))

    assert (done.exit_code, missing.exit_code) == (3, 3)
    assert "bad.yaml: m:7b.ollama" in done.output
    assert "none.yaml" in missing.output


def test_imported_results_of_the_folder_are_on_the_page(results: Path) -> None:
    path = imported_store(results).save(make_cards.own_benchmark("imported-model"))
    try:
        assert plot(results).exit_code == 0
        assert "imported-model" in (results / "report.html").read_text(encoding="utf-8")
        assert plot(results, str(results / "first")).exit_code == 0
        assert "imported-model" not in (results / "report.html").read_text(encoding="utf-8")
    finally:
        path.unlink()


def test_a_place_that_cannot_be_written_is_told(results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = plot(results, "--format", "csv", "--output", str(tmp_path / "file" / "x.csv"))

    assert done.exit_code == 5
    assert "cannot make the folder" in done.output


def test_imported_results_are_drawn_where_there_is_no_run(tmp_path: Path) -> None:
    source = next(path for path in sorted(DATA.rglob("admin-benchmark-results*")) if path.is_file())
    body = source.read_bytes().partition(b"\r\n\r\n")[2] or source.read_bytes()
    saved = tmp_path / "saved.json"
    saved.write_bytes(body)
    imported = lmx_loadgen("results", "import", str(saved), "--results-dir", str(tmp_path / "r"))
    assert imported.exit_code == 0, imported.output

    for shape, suffix in (("html", "html"), ("markdown", "md"), ("csv", "csv")):
        done = plot(tmp_path / "r", "--format", shape)
        assert done.exit_code == 0, done.output
        assert "optalmx/tiny-01" in (tmp_path / "r" / f"report.{suffix}").read_text(encoding="utf-8")
    assert plot(tmp_path / "r", "--format", "png").exit_code == 4
