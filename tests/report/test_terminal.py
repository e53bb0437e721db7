import json
import subprocess
import sys
from collections.abc import Callable

from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.report.terminal import summary_json
from tests.helpers.snapshots import numbers_in

Loader = Callable[..., RunView]


def test_the_json_summary_has_the_tables_figures_in_base_units(load_run: Loader) -> None:
    result = load_run("head-to-head").result

    summary = json.loads(json.dumps(summary_json(result), allow_nan=False))

    level = summary["targets"][1]["levels"][2]
    assert level["ttft_p50_s"] == result.targets[1].levels[2].metrics["ttft"].p50
    assert (level["ok"], level["failed"], level["concurrency"]) == (100, 28, 16)
    (comparison,) = summary["comparisons"]
    assert comparison["sentences"][0].startswith("lmx ")
    assert numbers_in(comparison["sentences"][0])[:2] == [1, 31]
    assert comparison["verdicts"]["1"]["ttft_p50"] == "worse"
    assert summary["complete"] is True


def test_the_json_summary_of_failures_has_nulls_and_no_zeros(load_run: Loader) -> None:
    level = summary_json(load_run("failed").result)["targets"][0]["levels"][0]

    assert [level[name] for name in ("ttft_p50_s", "ttft_p95_s", "decode_tok_s_p50", "output_tok_s")] == [None] * 4


def test_the_terminal_needs_neither_plotly_nor_numpy() -> None:
    code = (
        "import sys, lmx_loadgen.report.run_screen, lmx_loadgen.report.progress;"
        "print(*{'plotly', 'numpy', 'scipy'} & set(sys.modules))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == ""
