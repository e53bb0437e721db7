"""`result.json`: the models of a run's result, and how it is written and read.

`BenchmarkResult` and its parts carry the names of Opta-LMX's own benchmark plan, so that its readers find them.
"""

import contextlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmx_loadgen.errors import ResultError, StorageError, first_fault
from lmx_loadgen.store import eventlog
from lmx_loadgen.store.at_load_point import AtLoadPoint
from lmx_loadgen.store.capacity import CapacityRatio, CapacityResult
from lmx_loadgen.store.comparison import Comparison, Ranking
from lmx_loadgen.store.reference import PublishedFigure
from lmx_loadgen.store.versions import RESULT, UnknownVersion
from lmx_loadgen.system.clock import EARLIEST, moment
from lmx_loadgen.system.disk import flush_to_disk

SCHEMA = RESULT.newest
NAME = "result.json"
_MAX_FILE = 256 * 1024 * 1024
_MAX_HEADER = 64 * 1024 * 1024

Coherence = Literal["ok", "repetitive", "truncated", "garbled"]


class _Model(BaseModel):
    # Everything is written, defaults too, so the printed schema may count on it.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True)


class MetricResult(_Model):
    """One metric of one level. Times are in seconds; a None is undefined, and `reason` says why. `unsupported` names
    percentiles with fewer than five samples beyond them. `ci95` is of the mean within this run.

    `left_out` counts the answers that this machine delayed and the sample does without. `instrument_error` is the 99th
    percentile, over requests, of the instrument's error: the larger of the calibration's and what this run saw itself.
    `tainted` names the statistics that the instrument may have moved by more than 5 %.
    """

    unit: str
    better: Literal["lower", "higher"]
    n: int
    mean: float | None = None
    ci95: tuple[float, float] | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    unsupported: list[str] = []
    reason: str | None = None
    left_out: int = 0
    instrument_error: float | None = None
    tainted: list[Literal["p50", "p90", "p95", "p99", "mean"]] = []


class PromptClassResult(_Model):
    """The answers of a level to prompts of one class: TTFT, prompt tok/s, decode tok/s and E2E, as `metrics` has them
    for all classes together."""

    metrics: dict[str, MetricResult]


class RequestCounts(_Model):
    """Requests of a level by fate: sent = ok + failed + cancelled (warm-ups apart). `dropped` ones of an open loop were
    due and never sent."""

    sent: int
    ok: int
    failed: int
    cancelled: int
    warmup: int
    first_wave: int
    dropped: int = 0


class WindowResult(_Model):
    """How long the load was full, in seconds over all segments of the level; None where it never was."""

    seconds: float | None
    segments: int


class TokenSums(_Model):
    """Tokens of the sampled answers, None where not every one has a count."""

    prompt: int | None = None
    output: int | None = None


class TokenCounts(_Model):
    """The three counts, side by side."""

    usage: TokenSums
    events: TokenSums
    tokenizer: TokenSums | None = None


class ErrorCount(_Model):
    """Failures of one kind and their words."""

    outcome: str
    status: int | None
    reason: str | None
    count: int


class Witness(_Model):
    """The instrument itself while a level was measured.

    `lagged` are the ids of the requests whose send, or a read that the event loop stamped, was late by more than the
    threshold; `lag_max_s` is the worst lag of the loop, whether it met any.
    `cpu_share` is of one core, of the busiest measuring process. `calibrated_at` is the concurrency of the calibrated
    level whose errors are given, and `within_calibration` whether that level's load was at least as high.
    """

    lag_threshold_s: float
    lag_max_s: float | None = None
    lagged: list[int] = []
    lagged_share: float | None = None
    cpu_share: float | None = None
    calibrated_at: int | None = None
    within_calibration: bool | None = None


class StabilityResult(_Model):
    """Whether the same prompt gets the same answer when others are answered beside it, at temperature 0.

    `same` of `answers` were word for word what the server said when it was asked alone. The first difference of any is
    given as a place in that lone answer, counted from 1: in characters, and in text events, which are tokens where the
    server sends one an event.
    """

    answers: int
    same: int
    first_differing_character: int | None = None
    first_differing_token: int | None = None
    sentence: str


class QualityResult(_Model):
    """What the measured answers of a level look like. `flags` counts answers by coherence flag; `natural` ended by
    themselves, `limited` at the limit, and `unknown` counts the rest."""

    answers: int
    flags: dict[Coherence, int]
    natural: int
    limited: int
    unknown: int
    stability: StabilityResult | None = None


class ServerWord(_Model):
    """What the server itself says in its answers, beside what the client saw of the same answers. All are medians;
    times in seconds. `source` is where it says so, and `prompt_sec` is what it took for the prompt by its own word."""

    source: str
    answers: int
    prompt_sec: float | None = None
    toks_per_sec: float | None = None
    client_ttft_sec: float | None = None
    client_toks_per_sec: float | None = None


class ObservedResult(_Model):
    """The machine while the load was full, from `seconds` of samples beside it; only where the server runs on it.

    Powers are means in watts; `system_power_w` is of the whole machine, and `tokens_per_joule` output tok/s ÷ it, idle
    power included. `gpu_clock_share` is the GPU's lowest clock over five seconds as a share of its median in the first
    minute of the target's load. A None is not known; `reason` says why of powers.
    """

    source: str
    seconds: float
    system_power_w: float | None = None
    gpu_power_w: float | None = None
    cpu_power_w: float | None = None
    tokens_per_joule: float | None = None
    gpu_temp_max_c: float | None = None
    gpu_clock_share: float | None = None
    reason: str | None = None


class TurnResult(_Model):
    """One turn of all chats of a level, the first being 1. All are medians: how many tokens the server read, which
    share of them came from its cache (None where it does not tell; the first words of a chat template apart, which are
    the same in every request), TTFT in seconds, and decode tok/s."""

    turn: int
    answers: int
    failed: int
    context_tokens: float | None = None
    cached_share: float | None = None
    ttft_sec: float | None = None
    decode_tok_s: float | None = None


class ShapeResult(_Model):
    """A level whose prompts and answers have lengths that were asked for, in tokens.

    `counted_by` fitted the prompts (`source` is the endpoint or the tokenizer). `prompt_tokens` and `output_tokens` are
    the fewest and the most of the answers, `exact` whether every prompt has the length that was asked for. `status` is
    `failed` where the server cut prompts, `unknown` where nothing counts them. Rates are medians: prompt tokens that
    came from no cache ÷ TTFT, and decode tok/s.
    """

    prompt: int
    answer: int
    counted_by: Literal["endpoint", "usage", "tokenizer", "nobody"]
    source: str | None = None
    prompt_tokens: tuple[int, int] | None = None
    output_tokens: tuple[int, int] | None = None
    exact: bool
    status: Literal["passed", "failed", "unknown"]
    sentence: str
    prompt_tok_s: float | None = None
    decode_tok_s: float | None = None


class SendLateness(_Model):
    """By how much later than due this tool sent `n` requests, in seconds."""

    n: int
    p50: float
    p99: float
    max: float


class OpenLoopResult(_Model):
    """What only an open loop has.

    `due` requests came, `offered_rate` a second, and `dropped` of them found as many in flight as may be. `overloaded`
    says that the server fell behind, by `backlog_growth` requests a second; no latency is given then.
    """

    due: int
    offered_rate: float | None
    dropped: int
    lateness: SendLateness | None
    overloaded: bool
    backlog_growth: float | None = None
    sentence: str | None = None


class SteadinessResult(_Model):
    """Whether a level was steady, and why not.

    `cut_requests` answers of `cut_seconds` at the start of its blocks were a warm-up, and are in no figure. `shift` is
    the share by which answers took longer in a part of the level than in the rest.
    """

    steady: bool
    cut_requests: int = 0
    cut_seconds: float = 0.0
    shift: float | None = None
    reasons: list[str] = []


class LevelResult(AtLoadPoint, _Model):
    """One level of one target. `sample` says which answers the latencies are of: `steady` leaves out the
    first wave, `all` keeps it, `none` is empty. `by_prompt_class` has the figures of short, medium and long prompts, or
    of those given by the user, apart (empty in results of earlier versions)."""

    requests: RequestCounts
    window: WindowResult
    sample: Literal["steady", "all", "none"]
    token_basis: Literal["usage", "tokenizer", "events", "characters"]
    token_basis_exact: bool
    tokens: TokenCounts
    metrics: dict[str, MetricResult]
    by_prompt_class: dict[str, PromptClassResult] = {}
    errors: list[ErrorCount] = []
    finish_reasons: dict[str, int] = {}
    complete: bool
    witness: Witness
    tainted: list[str] = []
    notes: list[str] = []
    quality: QualityResult | None = None
    server_word: ServerWord | None = None
    observed: ObservedResult | None = None
    open_loop: OpenLoopResult | None = None
    steadiness: SteadinessResult | None = None
    shape: ShapeResult | None = Field(default=None, exclude_if=lambda value: value is None)
    turns: list[TurnResult] = Field(default=[], exclude_if=lambda value: not value)


class ToolCallBenchmark(_Model):
    """One tool call asked for, and what came of it.

    `raw_tool_call` has the `name` and the `arguments` as they came. Beyond the plan's fields, `form` says how the call
    was written (see `measure.tool_calls`), and `error` why there was no answer to judge.
    """

    tool_definition: dict[str, Any]
    expected_tool_name: str
    prompt_used: str
    call_produced: bool
    tool_name_correct: bool
    params_valid_json: bool
    params_match_schema: bool
    raw_tool_call: dict[str, Any] | None = None
    latency_sec: float | None = None
    form: str | None = None
    error: str | None = None

    @property
    def passed(self) -> bool:
        return self.call_produced and self.tool_name_correct and self.params_valid_json and self.params_match_schema


# The `error` of a skill on a server that has none.
NOT_SUPPORTED = "not supported"


class SkillsBenchmark(_Model):
    """One skill run on the server; the preview is its first 200 characters. `error` is `not supported` where the
    server has no skills."""

    skill_name: str
    skill_invoked_successfully: bool
    skill_result_preview: str | None = None
    skill_latency_sec: float | None = None
    error: str | None = None


class BenchmarkRunStats(_Model):
    """The plan's figures of one model. `p95` is the value that 95 % of runs reach or do better than.

    Token counts are means over the runs, rounded. `output_text` and what is said of it are of the first run. Under two
    completed runs every statistic is None. The numbers of runs are None only in results of others that do not tell.

    Beyond the plan's fields, `token_counts` says what counted the tokens, where that was asked for: the streamed
    `usage`, a `tokenizer`, one `unstreamed` answer, or nothing that could (`unknown`, and no figure is of tokens).
    """

    ttft_p50_sec: float | None = None
    ttft_p95_sec: float | None = None
    ttft_mean_sec: float | None = None
    toks_per_sec_p50: float | None = None
    toks_per_sec_p95: float | None = None
    toks_per_sec_mean: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    runs_completed: int | None
    warmup_runs_discarded: int | None
    output_text: str | None = None
    output_token_count: int | None = None
    completed_naturally: bool | None = None
    repetition_ratio: float | None = None
    coherence_flag: Coherence | None = None
    tool_call: ToolCallBenchmark | None = None
    skills: list[SkillsBenchmark] = []
    token_counts: Literal["usage", "tokenizer", "unstreamed", "unknown"] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )


# With fewer completed runs there are no figures.
FEWEST_RUNS = 2


class BenchmarkResult(_Model):
    """A model on a server, in the plan's shape. Fewer than two completed runs are `insufficient_data`, never zeros.

    Beyond the plan's fields, `origin` says who measured it where that was not this tool (see `store.imported`).
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())

    model_id: str
    backend: str
    timestamp: str
    status: Literal["ok", "insufficient_data"]
    hardware: str
    lmx_version: str | None = None
    prompt_preview: str = Field(max_length=100)
    stats: BenchmarkRunStats | None = None
    origin: str | None = None


class CacheResult(_Model):
    """What a repeat of a prompt showed of a prefix cache, at the end of the run. Times are TTFTs in seconds.

    `cold` are of two prompts of equal length that the server had never seen, `repeat` is of the second of them again;
    cold and cached TTFT are two figures and in no other one here. `found` is None when the probe was not answered.
    """

    cold: list[float] = []
    repeat: float | None = None
    cached_tokens: int | None = None
    prompt_tokens: int | None = None
    found: bool | None = None
    speedup: float | None = None
    sentence: str


class Hypothesis(_Model):
    """What was expected of a model before it was measured: `published` figures, or `bandwidth`: no more than the
    machine's memory can deliver of the model's weights; or `none`. Rates are decode tok/s; `of` says whose published
    one it is, for instance `LM Studio MLX 4bit`."""

    kind: Literal["published", "bandwidth", "none"]
    toks_per_sec: float | None = None
    ttft_sec: float | None = None
    of: str | None = None
    sentence: str
    figures: list[PublishedFigure] = []


class TargetResult(_Model):
    """Everything measured on one server. `models_answered` are the names the server gave in its answers, `tool_calls`
    and `skills` what it was asked to do, `server_benchmarks` what it measured of itself."""

    name: str
    dialect: str
    base_url: str
    server: dict[str, Any]
    model: str
    models_answered: list[str] = []
    notes: list[str] = []
    levels: list[LevelResult] = []
    cache: CacheResult | None = None
    capacity: CapacityResult | None = None
    hypothesis: Hypothesis | None = None
    tool_calls: list[ToolCallBenchmark] = []
    skills: list[SkillsBenchmark] = []
    server_benchmarks: list[BenchmarkResult] = []
    benchmark: BenchmarkResult | None = None


class NodeResult(_Model):
    """A machine of a cluster that measured, and what was seen of it, in seconds.

    `most_connections` is what its limit on open files allows. Its clock was known to `clock_bound_s` at worst, and
    moved by `clock_drift_s` against that of the run within a segment; no latency is taken from two clocks. `requests`
    counts what it sent, warm-ups and probes included, in segments that ended.
    """

    name: str
    host: dict[str, Any]
    versions: dict[str, str]
    tool_version: str
    most_connections: int
    calibrated: bool
    requests: int
    clock_bound_s: float | None = None
    clock_drift_s: float | None = None
    lag_max_s: float | None = None
    cpu_share: float | None = None


class Tool(_Model):
    """`version` measured the run, `computed_by` is the version that computed this result from its event log."""

    name: Literal["lmx-loadgen"] = "lmx-loadgen"
    version: str
    computed_by: str


class RunResult(_Model):
    """One run. `complete` is false when it was cut short, and `reason` says by what. `comparisons` are of every two
    targets; where there are more than two of them, `rankings` sum them up. `nodes` are the machines of a cluster."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    metrics_version: int
    tool: Tool
    run_id: str
    started_at: str
    ended_at: str | None
    complete: bool
    reason: str | None = None
    host: dict[str, Any]
    versions: dict[str, Any] = {}
    profile: dict[str, Any]
    instrument: dict[str, Any]
    targets: list[TargetResult]
    comparisons: list[Comparison] = []
    rankings: list[Ranking] = []
    capacity_ratios: list[CapacityRatio] = []
    notes: list[str] = []
    nodes: list[NodeResult] = Field(default=[], exclude_if=lambda value: not value)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain JSON values, with the names of the file."""
        return self.model_dump(mode="json", by_alias=True)


def as_bytes(result: RunResult) -> bytes:
    """The content of `result.json`; the same result always gives the same bytes."""
    return result.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


def write_result(folder: Path, result: RunResult) -> Path:
    """Write `result.json` into the run's folder: whole or not at all. Raises StorageError."""
    path = folder / NAME
    write_whole(path, as_bytes(result))
    return path


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Put `data` at `path` in one step: a reader sees the old file or the new one. `mode` is what the user's mask
    leaves of it. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
            file.flush()
            flush_to_disk(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from None


def read_result(folder: Path) -> RunResult:
    """The stored result of a run. Raises ResultError."""
    path = folder / NAME
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ResultError(f"{path} is larger than {_MAX_FILE // 2**20} MB, which no result is")
        data = pydantic_core.from_json(path.read_bytes())
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as problem:
        raise ResultError(f"{path} is not a result of lmx-loadgen: not JSON: {problem}") from None
    if isinstance(data, dict):
        try:
            data = RESULT.migrated(data, RESULT.known(data.get(RESULT.key, SCHEMA)))
        except UnknownVersion as problem:
            raise ResultError(f"{path} {problem}") from None
    try:
        return RunResult.model_validate(data)
    except ValidationError as problem:
        raise ResultError(f"{path} is not a result of lmx-loadgen: {first_fault(problem, 'the file')}") from None


def find_runs(results_dir: Path) -> list[Path]:
    """The folders in `results_dir` that hold a run, finished or not, by when it began, oldest first: a folder may be
    called anything. Those that do not say when stand before all others."""
    if not results_dir.is_dir():
        return []
    runs = [
        folder
        for folder in results_dir.iterdir()
        if folder.is_dir() and ((folder / NAME).is_file() or (folder / eventlog.NAME).is_file())
    ]
    return sorted(runs, key=lambda folder: (_started(folder) or EARLIEST, folder))


def _started(folder: Path) -> datetime | None:
    """When the run in a folder began, by the first line of its log, or its result where it has no log."""
    for name, most in ((eventlog.NAME, _MAX_HEADER), (NAME, _MAX_FILE)):
        with contextlib.suppress(OSError, ValueError), (folder / name).open("rb") as file:
            data = pydantic_core.from_json(file.readline(most) if name == eventlog.NAME else file.read(most))
            if isinstance(data, dict) and (found := moment(data.get("started_at"))) is not None:
                return found
    return None
