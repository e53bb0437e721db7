"""The lines of an event log, declared once: the reader checks them by it, and the printed schema is made of it.

Times are in nanoseconds on the run's monotonic clock. Fields this version does not know are kept and ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # below Python 3.12 pydantic takes no other

from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.segment_key import SegmentPhase

_MAX = 2**62  # 146 years of nanoseconds

Count = Annotated[int, Strict(), Field(ge=0, le=2**53)]
Ns = Annotated[int, Strict(), Field(ge=0, le=_MAX)]
Offset = Annotated[int, Strict(), Field(ge=-_MAX, le=_MAX)]
Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Figure = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]

EventKind = Literal["role", "content", "reasoning", "tool", "usage", "finish", "error", "ping", "done", "other"]
Outcome = Literal[
    "ok",
    "incomplete",
    "empty",
    "http_error",
    "stream_error",
    "connect_error",
    "connect_timeout",
    "first_token_timeout",
    "gap_timeout",
    "request_timeout",
    "reset",
    "truncated",
    "protocol_error",
    "cancelled",
    "dropped",
]


class OpenLine(TypedDict):
    """Has fields that later versions add."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]


class Clock(TypedDict):
    """Both clocks at one moment: unix time = unix_ns + (t − mono_ns)."""

    mono_ns: Ns
    unix_ns: Ns


class SloLine(OpenLine):
    """Limits in seconds; null where there is none."""

    ttft: Seconds | None
    tpot: Seconds | None
    e2e: Seconds | None


class ProfileLine(OpenLine):
    """The profile as it was run; of its settings, those that metrics depend on."""

    slo: SloLine
    reading_tok_s: Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]


class HostLine(OpenLine):
    """The machine."""

    chip: NotRequired[Text | None]
    memory_gb: NotRequired[Seconds | None]
    machine_id: NotRequired[Annotated[Text, Field(description="a short hash; earlier versions have a `name`")]]
    translated: NotRequired[Annotated[Flag | None, Field(description="whether Rosetta translated this tool")]]
    background: NotRequired[Annotated[Flag | None, Field(description="whether the run had background priority")]]


class TargetLine(OpenLine):
    """A server that is measured, as it was found before the first request."""

    name: Text
    dialect: Text
    base_url: Text
    model: Text
    server: dict[Text, Text | None]
    notes: list[Text]
    hypothesis: NotRequired[Annotated[dict[Text, Any] | None, Field(description="what was expected of its model")]]
    card: NotRequired[Annotated[dict[Text, Any], Field(description="its dialect card, where it was probed before")]]


class BlockPlace(OpenLine):
    """Which block of which level of which target."""

    target: Text
    load_point: LoadPoint
    block: Count


class SegmentPlace(BlockPlace):
    """Which stretch of load: no other has the same target, load point, block and phase."""

    phase: Annotated[
        SegmentPhase,
        Field(description="load: of a level; probe, stability and check: beside all levels"),
    ]


class Measurer(OpenLine):
    """Another lmx-loadgen that measured on this machine at the same time."""

    pid: Count | None
    started_at: Text | None


class NodeLine(OpenLine):
    """A machine of a cluster that measured, and what is known of its error."""

    name: Text
    host: HostLine
    versions: dict[Text, Text]
    tool_version: Text
    most_connections: Annotated[Count, Field(description="how many it may have open")]
    calibration: dict[Text, Any] | None
    beside: NotRequired[Annotated[Measurer | None, Field(description="who was measuring on it already")]]


class NodeMarksLine(OpenLine):
    """A node's part of a segment, and its clock against that of the run. Its times are stored on the run's clock: all
    those of a request were moved by the same offset."""

    node: Text
    requests: Count
    offset_ns: Annotated[Offset, Field(description="by how much the node's clock was ahead when the segment began")]
    bound_ns: Annotated[Ns, Field(description="how far the offset may be off: half of the quickest round trip")]
    drift_ns: Annotated[Offset | None, Field(description="by how much more it was ahead when the segment had ended")]
    drift_bound_ns: Ns | None
    cpu_share: Figure | None
    lag_max_ns: Ns | None


class HeaderLine(OpenLine):
    """The first line: everything that was known before the first request."""

    type: Literal["header"]
    schema: Literal[4]
    tool_version: Text
    run_id: Text
    clock: Clock
    started_at: Annotated[str, Strict(), Field(description="UTC, ISO 8601")]
    profile: ProfileLine
    host: HostLine
    instrument: dict[Text, Any]
    targets: list[TargetLine]
    plan: Annotated[list[SegmentPlace], Field(description="the segments in the order they run")]
    versions: NotRequired[dict[Text, Any]]
    prompt_preview: NotRequired[Text]
    lengths: NotRequired[Annotated[list[dict[Text, Any]], Field(description="how the prompts of its shapes were made")]]
    prompts_in_file: NotRequired[Annotated[Count, Field(description="of which the prompts were drawn by the seed")]]
    no_text: NotRequired[Annotated[Flag, Field(description="whether prompts and answers were left out (--no-text)")]]
    accepted: NotRequired[Annotated[Text | None, Field(description="why failed checks of a comparison are overridden")]]
    until_conclusive: NotRequired[Annotated[Flag, Field(description="whether results decided how long it went on")]]
    going_on: NotRequired[Annotated[dict[Text, Any], Field(description="what a resumed run needs beside all this")]]
    beside: NotRequired[Annotated[Measurer | None, Field(description="who was measuring already")]]
    nodes: NotRequired[Annotated[list[NodeLine], Field(description="the machines of a cluster, where one measured")]]


class TokenizerTokens(OpenLine):
    """Tokens as the profile's own tokenizer counts them."""

    prompt: Count | None
    output: Count | None


class ShapeLine(OpenLine):
    """An answer's text in figures, where the text itself was not kept."""

    repetition_ratio: Figure
    is_garbled: Flag
    has_thought: Flag
    is_open_thought: Flag


class RequestLine(BlockPlace):
    """One request that has ended, as it was seen."""

    type: Literal["request"]
    id: Count
    slot: Count
    phase: Annotated[
        Literal["warmup", "measured", "probe", "stability"],
        Field(
            description="warmup and measured are of a segment of load; probe: of the prefix cache; stability: the same "
            "prompt alone and among others"
        ),
    ]
    first_wave: Annotated[
        bool, Strict(), Field(description="the slot's first request, sent while the load was building up")
    ]
    number: NotRequired[
        Annotated[int, Strict(), Field(description="its number in the segment: the same number, the same prompt")]
    ]
    prompt_id: Text
    nonce: NotRequired[Text]
    intended_ns: Annotated[Ns, Field(description="when it was due")]
    connect_ns: Annotated[tuple[Ns, Ns] | None, Field(description="start and end, where it had to open a connection")]
    reconnected: NotRequired[Flag]
    send_ns: Annotated[Ns | None, Field(description="just before its first byte was written; null: never")]
    end_ns: Ns
    headers_ns: Annotated[Offset | None, Field(description="since send_ns")]
    arrivals: Annotated[
        list[tuple[Offset, Count]],
        Field(description="socket reads that brought body bytes: [nanoseconds since send_ns, bytes]"),
    ]
    events: Annotated[
        list[tuple[Count, EventKind, Text]],
        Field(
            description="[index of the arrival that completed it, kind, text]; the text of a usage event is the "
            "running count of completion tokens, empty where there is none"
        ),
    ]
    shape: NotRequired[
        Annotated[ShapeLine, Field(description="with --no-text: events have other characters of the same kinds")]
    ]
    status: Annotated[int, Strict()] | None
    outcome: Outcome
    reason: Text | None
    response_id: Text | None
    model: Annotated[Text | None, Field(description="what the server says answered")]
    usage: Annotated[dict[Text, Any] | None, Field(description="as the server sent it")]
    finish_reason: Annotated[Text | None, Field(description="null where the server named none")]
    server_timings: Annotated[dict[Text, Any] | None, Field(description="as the server sent them")]
    tokenizer_tokens: NotRequired[TokenizerTokens | None]
    max_tokens: Count | None
    lag_ns: Annotated[Ns | None, Field(description="worst event-loop lag during the request")]
    stalls: NotRequired[
        Annotated[
            list[tuple[Offset, Ns]],
            Field(
                description="stalls of the event loop that overlap its send, or a read the loop stamped: "
                "[start in nanoseconds since send_ns, nanoseconds]"
            ),
        ]
    ]
    notes: NotRequired[
        Annotated[list[Text], Field(description="codes of what is to be known of how its answer came, like held_open")]
    ]
    node: NotRequired[Annotated[Text, Field(description="which node of a cluster measured it")]]


class SegmentLine(SegmentPlace):
    """The marks of a segment that has ended."""

    type: Literal["segment"]
    start_ns: Ns | None
    ramp_end_ns: Annotated[Ns | None, Field(description="when the last slot sent its first request")]
    drain_start_ns: Annotated[Ns | None, Field(description="when the first slot found no more work")]
    end_ns: Ns
    stopped: Annotated[Text | None, Field(description="why it ended early; null where it did not")]
    stop_kind: NotRequired[Annotated[Text | None, Field(description="interrupted, errors, silence, overload or node")]]
    client: dict[Text, Any]
    nodes: NotRequired[list[NodeMarksLine]]


class HostStateLine(SegmentPlace):
    """How the machine did just before or after a segment, as far as its system tells; or after models were unloaded and
    loaded for it (`isolated`), with their targets."""

    type: Literal["host"]
    at_ns: Ns
    when: Literal["before", "after", "isolated"]
    state: dict[Text, Any]


class SampleLine(OpenLine):
    """What a program beside the load said of the machine over the last `interval_s`, or the `error` that ended it.

    What it does not tell is null. Watts, degrees Celsius, bytes; `gpu_busy` is a share of the time.
    """

    type: Literal["sample"]
    at_ns: Ns
    source: Text
    error: NotRequired[Text]
    interval_s: NotRequired[Figure]
    gpu_power_w: NotRequired[Figure | None]
    cpu_power_w: NotRequired[Figure | None]
    ram_power_w: NotRequired[Figure | None]
    system_power_w: NotRequired[Annotated[Figure | None, Field(description="of the whole machine")]]
    gpu_mhz: NotRequired[Annotated[Figure | None, Field(description="while it was busy")]]
    gpu_busy: NotRequired[Figure | None]
    gpu_temp_c: NotRequired[Figure | None]
    cpu_temp_c: NotRequired[Figure | None]
    ram_bytes: NotRequired[Figure | None]
    swap_bytes: NotRequired[Figure | None]


class CheckLine(OpenLine):
    """What a target was asked to do outside all measured windows, and what came of it, as it came."""

    type: Literal["check"]
    at_ns: Ns
    target: Text
    check: Annotated[
        Literal[
            "tool_call",
            "skill",
            "server_benchmark",
            "token_count",
            "needle",
            "new_nonce",
            "same_nonce",
            "settings",
        ],
        Field(description="what was asked for; from needle on, what a comparison is checked by"),
    ]
    asked: Annotated[dict[Text, Any], Field(description="what exactly")]
    answer: Annotated[dict[Text, Any] | None, Field(description="what the server made of it")]
    error: Annotated[Text | None, Field(description="why there is no answer")]
    latency_ns: Ns | None


class ResumeLine(OpenLine):
    """The run goes on here after it was cut off or stopped. Times in later lines are of this clock."""

    type: Literal["resume"]
    clock: Clock
    resumed_at: Annotated[str, Strict(), Field(description="UTC, ISO 8601")]
    attempt: Annotated[int, Strict(), Field(ge=1, le=2**31, description="1 for the first time it was taken up again")]
    redo: Annotated[list[SegmentPlace], Field(description="segments done again: their lines before this one are void")]
    cut_bytes: Annotated[Count, Field(description="length of a torn line that was cut off before this one")]
    beside: NotRequired[Measurer | None]


class AgainLine(OpenLine):
    """A round is measured again, since this machine slept or delayed too many of its requests: the lines of its
    segments of load before this one are void, whatever their target."""

    type: Literal["again"]
    at_ns: Ns
    load_point: LoadPoint
    block: Count


class EndLine(OpenLine):
    """The last line; without it the run was cut off."""

    type: Literal["end"]
    end_ns: Ns
    complete: Flag
    reason: Text | None
    joined: NotRequired[Annotated[list[Measurer], Field(description="who measured on this machine as well")]]


LINES: dict[str, TypeAdapter[Any]] = {
    "header": TypeAdapter(HeaderLine),
    "request": TypeAdapter(RequestLine),
    "segment": TypeAdapter(SegmentLine),
    "host": TypeAdapter(HostStateLine),
    "sample": TypeAdapter(SampleLine),
    "check": TypeAdapter(CheckLine),
    "resume": TypeAdapter(ResumeLine),
    "again": TypeAdapter(AgainLine),
    "end": TypeAdapter(EndLine),
}


def ran_to_its_end(line: Mapping[str, Any]) -> bool:
    """Whether a segment line is of a segment that need not be measured again. One that was ended because the server
    could not keep up has said all there is to say."""
    return line["stopped"] is None or line.get("stop_kind") == "overload"


def fault(line: dict[str, Any]) -> str | None:
    """The field that keeps this from being a line of its type, None where nothing does.

    `line["type"]` must be a key of `LINES`.
    """
    try:
        LINES[line["type"]].validate_python(line)
    except ValidationError as problem:
        return str(problem.errors(include_url=False, include_input=False)[0]["loc"][0])
    return None
