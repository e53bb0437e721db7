"""Killed at any moment and taken up again, a run ends as if nothing had been.

`python -m tests.commands.test_killed --seed 2 --kills 40` does the same at other moments and prints what it saw.

What can be equal is: the requests (which prompt, in which block, under which number), their counts, tokens, ends and
samples. Times are measured anew and differ by chance; they are held against what the simulator is set to. A killed tool
loses what it had not yet written down: requests in flight, and the last answers, still on their way from the measuring
process to the log. Of these there can be no hole: what was answered before a logged request is logged.
"""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lmx_loadgen.commands.recompute import recompute
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import Truth, read_truth
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.result import LevelResult, RunResult, read_result
from lmx_loadgen.store.segment_key import LOAD, segment_key
from lmx_loadgen.system.clock import now_ns

TTFT_S, TOKENS, USERS = 0.02, 8, 2
SETTINGS = SimSettings(ttft_ms=TTFT_S * 1000, prefill_tok_s=None, step_ms=2.0, engine="independent", prefix_cache=True)
FLAGS = ["-c", f"1,{USERS}", "--blocks", "2", "-n", "8", "--max-tokens", str(TOKENS), "--pause", "0", "--seed", "7"]
OF_LOAD = ("warmup", "measured")  # what is sent beside it may be the same prompt again, on purpose
KILLS, IN_A_ROW = 20, 5
MOST_LINES, MOST_PAUSE_S, START_S = 30, 0.04, 1.5
WAIT_S = 60.0


@dataclass
class Bench:
    """Two simulators that log the truth, and a folder for runs."""

    folder: Path
    sims: dict[str, SimProcess]

    def command(self, run: Path | None) -> list[str]:
        targets = [part for name, sim in self.sims.items() for part in ("-t", f"{name}={sim.url}")]
        begun = [*targets, *FLAGS, "--no-calibrate", "--out", str(self.folder / "runs")]
        how = begun if run is None else ["--resume", str(run)]
        return [sys.executable, "-m", "lmx_loadgen", "run", *how, "--quiet"]

    def runs(self) -> set[Path]:
        return {path.parent for path in self.folder.glob("runs/*/events.jsonl")}

    def undisturbed(self, run: Path | None = None) -> Path:
        """A whole run, or the rest of one."""
        before = self.runs()
        subprocess.run(self.command(run), check=True, timeout=WAIT_S)
        return run or (self.runs() - before).pop()

    def truth(self) -> dict[str, dict[str, Truth]]:
        """What each simulator did, by response id."""
        for sim in self.sims.values():
            sim.flush()
        return {name: read_truth(self.folder / f"{name}.truth") for name in self.sims}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    settings = {name: replace(SETTINGS, log=str(folder / f"{name}.truth")) for name in ("one", "other")}
    with start(settings["one"]) as one, start(settings["other"]) as other:
        yield Bench(folder, {"one": one, "other": other})


@dataclass
class Chain:
    """One run that is killed again and again. `killed` has the time each killed process lived."""

    bench: Bench
    run: Path | None = None
    killed: list[tuple[int, int]] = field(default_factory=list)
    is_over: bool = False

    def kill(self, moment: random.Random) -> None:
        """Start the run, or go on with it, and kill the tool: after some lines of its log and a pause, or while it
        starts. One that was quicker than that is no killed one."""
        lines, pause = moment.randrange(MOST_LINES), moment.random()
        before, had, began = self.bench.runs(), logged_lines(self.run), now_ns()
        process = subprocess.Popen(self.bench.command(self.run))
        try:
            if lines:
                wait_for(lambda: process.poll() is not None or self._lines(before) >= had + lines)
            time.sleep(pause * (MOST_PAUSE_S if lines else START_S))
        finally:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        self.run = self._run(before)
        assert code in (0, -signal.SIGKILL)
        self.is_over = code == 0
        if not self.is_over:
            self.killed.append((began, now_ns()))

    def _run(self, before: set[Path]) -> Path | None:
        """The run's folder, once there is anything in its log."""
        return self.run or next((run for run in self.bench.runs() - before if logged_lines(run)), None)

    def _lines(self, before: set[Path]) -> int:
        return logged_lines(self._run(before))


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


def logged_lines(run: Path | None) -> int:
    return (run / "events.jsonl").read_bytes().count(b"\n") if run is not None else 0


def killed_chain(bench: Bench, moment: random.Random, kills: int) -> Chain:
    """A run that was killed up to so many times, with what must hold after each, and then ended."""
    chain, before = Chain(bench), b""
    while len(chain.killed) < kills and not chain.is_over:
        chain.kill(moment)
        if chain.run is None:
            continue
        log = (chain.run / "events.jsonl").read_bytes()
        assert log.startswith(before), "what had been logged is not there any more"
        before = log[: log.rindex(b"\n") + 1]
        recompute(chain.run)
        check_accounts(read_log(chain.run / "events.jsonl"), read_result(chain.run))
    if not chain.is_over:
        chain.run = bench.undisturbed(chain.run)
    assert chain.run is not None
    assert (chain.run / "events.jsonl").read_bytes().startswith(before)
    return chain


def check_accounts(log: LogContents, result: RunResult) -> None:
    """Every line that counts is in the figures once."""
    for target in result.targets:
        for level in target.levels:
            counts, place = level.requests, (target.name, level.load_point, LOAD)
            keys = [segment_key(line) for line in log.requests]
            lines = [key for key in keys if (key.target, key.load_point, key.phase) == place]
            assert counts.sent == counts.ok + counts.failed + counts.cancelled
            assert counts.sent + counts.warmup == len(lines)
    ids = [line["id"] for line in [*log.requests, *log.superseded_requests]]
    assert len(set(ids)) == len(ids)
    asked = [request(line) for line in log.requests]
    assert len(set(asked)) == len(asked)


def check_nothing_lost(chain: Chain) -> int:
    """Held against the truth: what a killed process had answered and did not log came last. How many these were."""
    assert chain.run is not None
    log = read_log(chain.run / "events.jsonl")
    lines = [*log.requests, *log.superseded_requests]
    answered = Counter(line["response_id"] for line in lines if line["outcome"] == "ok")
    assert max(answered.values()) == 1, "a request is in the log twice"
    lost = 0
    for truth in chain.bench.truth().values():
        for began, killed in chain.killed:
            done = [one for one in truth.values() if began <= one.received_ns <= killed and one.outcome == "complete"]
            is_logged = [one.response_id in answered for one in sorted(done, key=lambda one: one.end_ns)]
            first = is_logged.index(False) if False in is_logged else len(is_logged)
            assert sum(is_logged[first:]) < USERS, "a request was lost and later ones were not"
            lost += is_logged.count(False)
    return lost


def check_unlike_before(chain: Chain) -> None:
    """No prompt was sent twice, so no cache could answer what was done again."""
    assert chain.run is not None
    log = read_log(chain.run / "events.jsonl")
    lines = [*log.requests, *log.superseded_requests]
    nonces = Counter(line["nonce"] for line in lines if line["phase"] in OF_LOAD)
    assert max(nonces.values()) == 1
    assert {len(nonce) for nonce in nonces} == {16}
    truth = {id: one for of_sim in chain.bench.truth().values() for id, one in of_sim.items()}
    cached = [truth[line["response_id"]].cached_tokens for line in lines if line["phase"] in OF_LOAD and line["usage"]]
    assert cached
    assert not any(cached)


def request(line: dict[str, Any]) -> tuple[Any, ...]:
    """What was asked, wherever it stands in the log; not when, nor under which nonce."""
    return segment_key(line).text, *(line[name] for name in ("phase", "number", "prompt_id", "max_tokens"))


def figures(level: LevelResult) -> dict[str, Any]:
    """Of a level all that does not depend on how long anything took."""
    parts = level.model_dump(include={"load_point", "requests", "sample", "tokens", "errors", "complete"})
    samples = {
        name: level.metrics[name].n + level.metrics[name].left_out
        for name in ("ttft", "e2e", "output_tokens", "prompt_tok_s")
    }
    tokens = level.metrics["output_tokens"]
    ends = (level.finish_reasons, level.token_basis, level.window.segments)
    return parts | {"samples": samples, "output_tokens": (tokens.mean, tokens.min, tokens.max), "ends": ends}


def check_equal(run: Path, undisturbed: Path) -> None:
    """The figures of a run that was killed are those of one that was not."""
    logs = [read_log(folder / "events.jsonl") for folder in (run, undisturbed)]
    asked = [sorted((request(line), line["outcome"]) for line in log.requests) for log in logs]
    assert asked[0] == asked[1]
    results = [read_result(folder) for folder in (run, undisturbed)]
    for mine, other in zip(results[0].targets, results[1].targets, strict=True):
        assert [figures(level) for level in mine.levels] == [figures(level) for level in other.levels]
        for level in mine.levels:
            least = level.metrics["ttft"].min
            assert least is not None
            assert least >= TTFT_S - 0.001
    assert results[0].complete
    assert results[0].profile == results[1].profile
    assert logs[0].notes == []


def kill_and_compare(folder: Path, seed: int, kills: int, told: Callable[[str], object]) -> None:
    """Chains of kills until there were so many, each chain's run held against one that nothing disturbed."""
    moment, left = random.Random(seed), kills
    with bench(folder) as made:
        undisturbed = made.undisturbed()
        while left:
            chain = killed_chain(made, moment, min(IN_A_ROW, left))
            assert chain.run is not None
            left -= len(chain.killed)
            lost = check_nothing_lost(chain)
            check_unlike_before(chain)
            check_equal(chain.run, undisturbed)
            log = read_log(chain.run / "events.jsonl")
            void = len(log.superseded) + len(log.superseded_requests)
            told(f"killed {len(chain.killed)} times: {lost} answers on their way lost, {void} lines done again")
