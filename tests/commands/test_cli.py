"""The command line as its user meets it: commands in, words, files and exit codes out."""

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.calibration import run as calibration
from lmx_loadgen.calibration.run import Stretch
from lmx_loadgen.cli import main
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import read_result
from lmx_loadgen.system import folders, host
from tests.helpers.cli import SMALL, lmx_loadgen, sentence_of
from tests.helpers.holding_server import Holding

FAST = SimSettings(ttft_ms=5.0, prefill_tok_s=None, step_ms=2.0)


@pytest.fixture(scope="module")
def fast() -> Iterator[SimProcess]:
    with start(FAST) as sim:
        yield sim


# Running


def test_a_run_is_stored_with_all_that_was_seen(fast: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    (folder,) = tmp_path.iterdir()
    stored, log = read_result(folder), read_log(folder / "events.jsonl")

    assert re.fullmatch(r"\d{8}T\d{6}Z-sim-[0-9a-f]{8}", folder.name)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert result.stdout.endswith(f"stored in {folder}\nnext: lmx-loadgen plot {folder}\n")
    assert stored.complete
    assert [level.requests.ok for level in stored.targets[0].levels] == [4, 4]
    assert [line["phase"] for line in log.requests] == ["measured"] * 8 + ["probe"] * 3 + ["stability"] * 3
    assert all(line["outcome"] == "ok" and line["response_id"] for line in log.requests)
    assert log.end is not None
    assert log.end["complete"] is True
    assert log.notes == []


def test_the_output_fits_80_columns_and_has_no_colour_off_a_terminal(fast: SimProcess, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lmx_loadgen", "run", "-t", f"sim={fast.url}", *SMALL, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert "\x1b" not in done.stdout + done.stderr
    table = [line for line in done.stdout.splitlines() if not line.startswith(("stored in", "next: "))]
    assert max(map(len, table)) <= 80
    assert "TTFT" in done.stdout


def test_json_is_all_that_json_prints(fast: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--out", tmp_path, "--json")
    summary = json.loads(result.stdout)

    assert result.stderr == ""
    assert summary["complete"] is True
    assert [level["concurrency"] for level in summary["targets"][0]["levels"]] == [1, 2]
    assert Path(summary["folder"]).parent == tmp_path


def test_quiet_prints_nothing(fast: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--out", tmp_path, "--quiet")

    assert (result.exit_code, result.output) == (0, "")


def test_several_workers_send_each_request_once_from_slots_of_their_own(fast: SimProcess, tmp_path: Path) -> None:
    flags = ("-n", "20", "-c", "5", "--max-tokens", "8", "--warmup", "1", "--no-calibrate", "--workers", "3")
    result = lmx_loadgen("run", "-t", f"sim={fast.url}", *flags, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    (folder,) = tmp_path.iterdir()
    log = read_log(folder / "events.jsonl")
    measured = [line for line in log.requests if line["phase"] == "measured"]

    assert sorted(line["number"] for line in measured) == list(range(20))
    assert {line["slot"] for line in measured} == set(range(5))
    assert len({line["nonce"] for line in log.requests if line["phase"] in ("warmup", "measured")}) == 25
    assert sum(line["first_wave"] for line in measured) == 5
    assert [line["phase"] for line in log.segments] == ["load", "probe", "probe", "stability", "stability"]


TOKENIZER = {
    "version": "1.0",
    "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"},
}


def test_a_tokenizer_counts_both_sides_and_becomes_the_basis(fast: SimProcess, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    flags = (*SMALL, "--prompt", "one two three", "--tokenizer", tmp_path / "tokenizer.json")
    result = lmx_loadgen("run", "-t", f"sim={fast.url}", *flags, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "out").iterdir()
    lines = read_log(folder / "events.jsonl").requests

    for line in lines:
        text = "".join(words for _, kind, words in line["events"] if kind == "content")
        # the nonce and the prompt
        assert line["tokenizer_tokens"] == {"prompt": 4, "output": len(re.findall(r"\w+|[^\w\s]+", text))}
    assert {level.token_basis for level in read_result(folder).targets[0].levels} == {"tokenizer"}


def test_what_is_no_tokenizer_is_said(fast: SimProcess, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    for name, words in (("tokenizer.json", "is not a tokenizer.json"), ("gone.json", "cannot read")):
        result = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--tokenizer", tmp_path / name, "--out", tmp_path)
        assert words in sentence_of(result)
        assert result.exit_code == 3


def test_a_run_whose_requests_all_fail_is_stored_and_says_so(tmp_path: Path) -> None:
    with start(SimSettings(ttft_ms=5.0, faults={"http_500": 1.0})) as sim:
        result = lmx_loadgen("run", "-t", f"sim={sim.url}", *SMALL, "--out", tmp_path)
    (folder,) = tmp_path.iterdir()

    assert result.exit_code == 20
    assert "every request failed" in result.stderr
    assert read_result(folder).targets[0].levels[0].errors[0].status == 500
    assert lmx_loadgen("plot", folder, "--no-open", "--output", tmp_path / "page.html").exit_code == 0


# Errors, each with a code of its own


def test_nothing_on_the_port(unused_port: int, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-t", f"lmx=http://127.0.0.1:{unused_port}", "--out", tmp_path)

    assert result.exit_code == 10
    assert f"nothing answers at http://127.0.0.1:{unused_port}/v1" in sentence_of(result)
    assert list(tmp_path.iterdir()) == []  # nothing is calibrated or stored for it


def test_another_server_on_the_port(tmp_path: Path) -> None:
    with start(SimSettings(dialect="lmstudio")) as sim:
        result = lmx_loadgen("run", "-t", f"lmx={sim.url}", "--out", tmp_path)

    assert result.exit_code == 11
    assert f"LM Studio answers at {sim.url}/v1, not Opta-LMX" in sentence_of(result)


def test_a_wrong_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_API_KEY", "a-wrong-secret")
    with start(SimSettings(dialect="lmx", api_key="the-right-secret")) as sim:
        result = lmx_loadgen("run", "-t", f"lmx={sim.url}", "--out", tmp_path)

    assert result.exit_code == 12
    assert "refuses the key in the environment variable LMX_API_KEY" in sentence_of(result)
    assert "secret" not in result.output


def test_no_model_loaded(tmp_path: Path) -> None:
    with start(SimSettings(dialect="lmx", models=(), installed=("big-model",))) as sim:
        result = lmx_loadgen("run", "-t", f"lmx={sim.url}", "--out", tmp_path)

    assert result.exit_code == 13
    assert sentence_of(result).startswith("model_not_loaded: ")


@pytest.mark.slow
def test_several_models_loaded(tmp_path: Path) -> None:
    with start(SimSettings(dialect="lmx", models=("one", "two"))) as sim:
        result = lmx_loadgen("run", "-t", f"lmx={sim.url}", "--out", tmp_path)
        named = lmx_loadgen("run", "-t", f"lmx={sim.url}", "-m", "two", *SMALL, "--out", tmp_path)

    assert result.exit_code == 14
    assert "(one, two)" in sentence_of(result)
    assert named.exit_code == 0, named.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-t", "lmxx"], 2, "'lmxx': no such server"),
        (["-t", "openai"], 2, "openai needs an address"),
        (["-t", "sim", "-t", "sim"], 2, "given twice"),
        (["-t", "lmx=http://me:pw@127.0.0.1:1"], 2, "keys do not belong in an address"),
        (["-p", "no-such"], 3, "no-such"),
        (["-c", "0"], 2, "--concurrency"),
        (["-n", "-1"], 2, "--requests"),
        (["-d", "soon"], 2, "--duration"),
        (["--max-tokens", "0"], 2, "--max-tokens"),
        (["--prompts", "/no/such/file"], 3, "/no/such/file"),
        (["--prompt", "x", "--prompts", "y"], 3, "exclude each other"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(
    arguments: list[str], code: int, words: str, tmp_path: Path
) -> None:
    result = lmx_loadgen("run", *arguments, "--out", tmp_path)

    assert words in sentence_of(result)
    assert result.exit_code == code


@pytest.mark.parametrize("arguments", [["-c", "1,x"], ["--cache", "never"], ["--no-such-flag"], ["--workers", "0"]])
def test_wrong_flags_are_click_s_own_errors(arguments: list[str]) -> None:
    result = lmx_loadgen("run", *arguments)

    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_measured(fast: SimProcess, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--out", tmp_path / "file")

    assert result.exit_code == 5
    assert "cannot" in sentence_of(result)


@pytest.mark.slow
def test_a_key_reaches_the_server_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_API_KEY", "my-little-secret")
    monkeypatch.setenv("LMX_ADMIN_KEY", "my-other-secret")
    with start(SimSettings(dialect="lmx", api_key="my-little-secret", ttft_ms=5.0, step_ms=1.0)) as sim:
        result = lmx_loadgen("run", "-t", f"lmx={sim.url}", *SMALL, "--out", tmp_path)
    page = lmx_loadgen("plot", "--results-dir", tmp_path, "--no-open")
    assert (result.exit_code, page.exit_code) == (0, 0)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        assert b"-secret" not in path.read_bytes(), path
    assert "-secret" not in result.output


# Ctrl-C


@pytest.fixture
def holding() -> Iterator[Holding]:
    with Holding(answers=5) as server:  # one of them is the probe before the run
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_ctrl_c_closes_what_is_in_flight_and_stores_what_was_seen(
    number: signal.Signals, holding: Holding, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{holding.server_port}"
    flags = ["-n", "4", "-c", "1,2", "--warmup", "0", "--no-calibrate", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lmx_loadgen", "run", "-t", f"openai={url}", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert holding.held.wait(30)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)  # the answers would be held for ever
    finally:
        process.kill()
    (folder,) = tmp_path.iterdir()
    stored, log = read_result(folder), read_log(folder / "events.jsonl")

    assert process.returncode == 128 + number
    assert holding.closed.wait(10)
    assert (stored.complete, stored.reason) == (False, "interrupted")
    assert "Traceback" not in err
    assert "incomplete: interrupted" in out
    assert [line["outcome"] for line in log.requests][:4] == ["ok"] * 4
    assert {line["outcome"] for line in log.requests[4:]} == {"cancelled"}
    assert log.end is not None
    assert log.end["complete"] is False
    drawn = lmx_loadgen("plot", folder, "--no-open", "--output", tmp_path / "page.html")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "page.html").stat().st_size > 100_000


# Plotting and the rest


def test_plot_without_runs_says_what_to_do(tmp_path: Path) -> None:
    result = lmx_loadgen("plot", "--results-dir", tmp_path, "--no-open")

    assert result.exit_code == 4
    assert "lmx-loadgen run" in sentence_of(result)


def test_plot_of_a_folder_that_is_no_run(tmp_path: Path) -> None:
    result = lmx_loadgen("plot", tmp_path / "gone", "--no-open")

    assert result.exit_code == 4
    assert str(tmp_path / "gone") in sentence_of(result)


def test_help_loads_none_of_the_heavy_packages() -> None:
    code = (
        "import sys\n"
        "from lmx_loadgen.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted({'numpy', 'scipy', 'plotly', 'httpx', 'pydantic', 'psutil', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_has_help_that_fits_100_columns() -> None:
    for command in main.commands:
        text = lmx_loadgen(command, "--help").stdout
        assert text.startswith(f"Usage: main {command}")
        assert max(map(len, text.splitlines())) <= 100


def test_schema_prints_both_schemas() -> None:
    assert set(json.loads(lmx_loadgen("schema").stdout)) == {"events.jsonl", "result.json"}


def test_profiles_are_listed_and_shown() -> None:
    listed = lmx_loadgen("profiles").stdout
    for name in ("quick", "standard", "long-context", "plan"):
        assert f"\n{name} " in f"\n{listed}"
        assert f"name: {name}\n" in lmx_loadgen("profiles", name).stdout
    assert lmx_loadgen("profiles", "none").exit_code == 3


# Calibration


@pytest.fixture
def short_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in a second or two; its figures mean little."""
    monkeypatch.setattr(calibration, "quick", lambda: [Stretch(1, 3, 4, 0.0), Stretch(4, 8, 4, 0.1)])
    monkeypatch.setattr(calibration, "_BURST", Stretch(2, 4, 2_000, 0.0))
    monkeypatch.setattr(host, "busy", lambda: None)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's folder for calibrations, not there yet."""
    monkeypatch.setenv(folders.CALIBRATION_FOLDER_ENV, str(tmp_path / "cache"))
    return tmp_path / "cache"


def run_calibrated(fast: SimProcess, out: Path) -> tuple[str, dict[str, Any]]:
    """What a small run says on stderr, and the calibration that it carries."""
    before = set(out.glob("*"))
    done = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL[:-1], "--out", out)
    assert done.exit_code == 0, done.output
    (folder,) = set(out.glob("*")) - before
    return done.stderr, read_result(folder).instrument["calibration"]


@pytest.mark.usefixtures("short_calibration")
@pytest.mark.slow
def test_calibrate_stores_a_table_that_the_next_run_carries(fast: SimProcess, tmp_path: Path, cache: Path) -> None:
    made = lmx_loadgen("calibrate", "--quick")
    assert made.exit_code == 0, made.output
    (path,) = cache.glob("calibration-*.json")
    assert f"stored in {path}" in made.stdout
    assert max(map(len, made.stdout.splitlines()[:-1])) <= 80
    stored = json.loads(path.read_text())["calibrations"][0]
    assert [(level["concurrency"], level["requests"], level["failed"]) for level in stored["levels"]] == [
        (1, 3, 0),
        (4, 8, 0),
    ]
    for level in stored["levels"]:
        # What was sent was there before it was seen, and no error is larger than the answer took.
        assert 0 <= level["ttft"]["p50"] <= level["ttft"]["p99"] <= level["ttft"]["max"] < 1
        assert level["chunks"] == 4 * level["requests"]
    assert stored["burst_chunks_per_s"] > 0

    run = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL[:-1], "--out", tmp_path / "runs")
    assert run.exit_code == 0, run.output
    (folder,) = (tmp_path / "runs").iterdir()
    result = read_result(folder)
    assert result.instrument["calibration"] == stored
    assert result.targets[0].levels[0].metrics["ttft"].instrument_error is not None
    assert "instrument's error" in run.stdout
    assert "Measuring the instrument's own error" not in run.stderr


@pytest.mark.usefixtures("short_calibration")
@pytest.mark.slow
def test_a_first_run_calibrates_once_for_every_results_folder(fast: SimProcess, tmp_path: Path, cache: Path) -> None:
    runs = [run_calibrated(fast, tmp_path / folder) for folder in ("one", "two")]

    assert ["Measuring the instrument's own error" in said for said, _ in runs] == [True, False]
    assert runs[0][1] == runs[1][1]
    assert [path.parent for path in tmp_path.rglob("calibration-*")] == [cache]


@pytest.mark.usefixtures("short_calibration")
@pytest.mark.slow
def test_of_calibrations_in_the_cache_and_beside_the_runs_the_newest_counts(
    fast: SimProcess, tmp_path: Path, cache: Path
) -> None:
    made = lmx_loadgen("calibrate", "--quick", "--out", tmp_path / "runs")
    assert made.exit_code == 0, made.output
    (path,) = (tmp_path / "runs").glob("calibration-*.json")
    stored = json.loads(path.read_text())
    (beside,) = stored["calibrations"]
    stored["calibrations"] = [beside | {"created_at": "2020-01-01T00:00:00+00:00"}]
    cache.mkdir()
    (cache / path.name).write_text(json.dumps(stored))

    assert run_calibrated(fast, tmp_path / "elsewhere")[1]["created_at"].startswith("2020")
    assert run_calibrated(fast, tmp_path / "runs")[1] == beside


@pytest.mark.usefixtures("short_calibration")
@pytest.mark.slow
def test_a_calibration_of_a_busy_machine_is_made_again_once_it_is_quiet(
    fast: SimProcess, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, carried = [], []
    for busy in ("load average 9.0 on 2 cores", "load average 8.0 on 2 cores", None, None):
        monkeypatch.setattr(host, "busy", lambda busy=busy: busy)
        words, calibration = run_calibrated(fast, tmp_path / "runs")
        said.append(words)
        carried.append(calibration)

    assert [one["busy_reason"] for one in carried] == ["load average 9.0 on 2 cores"] * 2 + [None, None]
    assert [one["busy"] for one in carried] == [True, True, False, False]
    assert carried[0] == carried[1]
    assert carried[2] == carried[3]
    assert "This machine is busy (load average 9.0 on 2 cores)" in " ".join(said[0].split())
    assert "Calibrating again" in " ".join(said[2].split())
    assert not any("Calibrating" in said[place] for place in (1, 3))
    notes = [" ".join(read_result(folder).notes) for folder in (tmp_path / "runs").iterdir()]
    assert sum("calibrated on a busy machine" in of_run for of_run in notes) == 2


@pytest.mark.usefixtures("short_calibration", "cache")
@pytest.mark.slow
def test_calibrate_says_that_the_machine_was_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "busy", lambda: "load average 9.0 on 2 cores")
    made = lmx_loadgen("calibrate", "--quick")

    assert "This machine was busy (load average 9.0 on 2 cores)" in made.stdout
    assert max(map(len, made.stdout.splitlines()[:-1])) <= 80


@pytest.mark.usefixtures("short_calibration")
@pytest.mark.slow
def test_a_run_whose_calibration_cannot_be_stored_is_measured_all_the_same(
    fast: SimProcess, tmp_path: Path, cache: Path
) -> None:
    cache.write_text("a file where a folder should be")
    said, carried = run_calibrated(fast, tmp_path / "runs")

    assert "could not be stored" in " ".join(said.split())
    assert carried["quick"]


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_run_that_is_not_calibrated_says_so(fast: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--out", tmp_path)

    assert "not calibrated" in result.stdout
    assert list(tmp_path.rglob("calibration-*")) == []


# The simulator


def test_sim_serves_until_ctrl_c() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lmx_loadgen", "sim", "--port", "0", "--dialect", "ollama"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        with urllib.request.urlopen(f"{found[0]}/api/version", timeout=10) as answer:
            assert "version" in json.load(answer)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "Traceback" not in said
    assert process.returncode in (0, 130)
