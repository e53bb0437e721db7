"""The flags of `run`, in the order and under the headings in which its help shows them."""

from functools import partial

import click

from lmx_loadgen.commands import flags
from lmx_loadgen.commands.flags import PATH, Flag
from lmx_loadgen.system import package_data

_target = partial(Flag, group=flags.TARGETS)
_load = partial(Flag, group=flags.LOAD)
_prompts = partial(Flag, group=flags.PROMPTS)
_limit = partial(Flag, group=flags.LIMITS)
_comparison = partial(Flag, group=flags.COMPARING)
_check = partial(Flag, group=flags.CHECKS)
_advanced = partial(Flag, group=flags.ADVANCED)
_output = partial(Flag, group=flags.OUTPUT)

RUN_FLAGS: tuple[Flag, ...] = (
    _target(
        "--target",
        "-t",
        "targets",
        multiple=True,
        metavar="NAME[=URL]",
        help=f"Server to measure: {', '.join(package_data.servers())}, a URL, NAME=URL, a name from `targets add`, or "
        "`auto` for every local server with a model loaded. NAME=DIALECT+URL forces a dialect. Repeatable. [default: "
        "ask on a terminal, else sim]",
    ),
    _target(
        "--yes",
        "-y",
        is_flag=True,
        help="Measure every local server with a model loaded, without asking.",
    ),
    _target(
        "--model",
        "-m",
        "models",
        multiple=True,
        metavar="[TARGET=]ID",
        help="Model to request. [default: the server's only loaded chat model]",
    ),
    _target(
        "--server-cmd",
        "server_cmds",
        multiple=True,
        metavar="NAME='COMMAND {port}'",
        help="Start a server with this command, measure it and stop it, --restarts times, in random order with the "
        "others. Each restart is one observation. Repeatable.",
    ),
    _target(
        "--restarts", type=click.IntRange(1, 100), default=5, show_default=True, help="Restarts of each --server-cmd."
    ),
    _target(
        "--endpoint",
        key="endpoint",
        type=click.Choice(["chat", "completions"]),
        help="API to stream from. [default: chat]",
    ),
    flags.INSECURE,
    flags.ALLOW_PLAIN_HTTP,
    flags.CA_FILE,
    _advanced(
        "--i-own-this-server",
        is_flag=True,
        help="Allow loads above 4 concurrent requests, 200 requests or 120 s on a public address.",
    ),
    _load(
        "--profile",
        "-p",
        has_text=True,
        default="quick",
        show_default=True,
        metavar="NAME|FILE",
        help="Load profile. Flags override it.",
    ),
    _load(
        "--concurrency",
        "-c",
        key="load.concurrency",
        callback=flags.concurrency_levels,
        metavar="1,4,8",
        help="Concurrent requests; one level per number.",
    ),
    _load(
        "--shape",
        key="load.shapes",
        metavar="512:128,4096:128",
        help="Tokens of each prompt and of its answer, one level each, alone or at each --concurrency. Prompts have "
        "the length by the server's own count.",
    ),
    _load(
        "--rate",
        key="load.rate",
        callback=flags.request_rates,
        metavar="0.5,1,2|sweep",
        help="Open loop: requests per second, one level each. `sweep`: ten loads from idle to overload.",
    ),
    _load(
        "--arrivals",
        key="load.arrivals",
        type=click.Choice(["poisson", "constant"]),
        help="Gaps between the requests of --rate. [default: poisson]",
    ),
    _load(
        "--replay",
        key="load.replay",
        metavar="FILE",
        help="Open loop: send a recording again, JSONL with `at_s` and a `prompt`, `messages` or `prompt_id`.",
    ),
    _load(
        "--max-in-flight",
        key="load.max_in_flight",
        type=int,
        help="Drop a request of an open loop that finds so many in flight, and count it. [default: 256]",
    ),
    _load(
        "--users",
        key="load.users",
        callback=flags.concurrency_levels,
        metavar="1,4,8",
        help="Users who lead chats turn by turn, one level each, in place of the profile's levels.",
    ),
    _load(
        "--think",
        key="load.think",
        metavar="5s|reading",
        help="Pause of a user before the next turn; reading: as long as the answer takes to read. [default: 0]",
    ),
    _load("--requests", "-n", key="load.requests", type=int, help="Measured requests per level."),
    _load(
        "--duration",
        "-d",
        key="load.duration",
        metavar="30s",
        help="Keep sending for this long per level, then let in-flight requests finish.",
    ),
    _load("--warmup", key="load.warmup", type=int, help="Warm-up requests per slot; excluded from every figure."),
    _load(
        "--stagger",
        key="load.stagger",
        metavar="auto|SECONDS",
        help="Spread the slots' first requests over this time (auto: one response).",
    ),
    _prompts("--prompt", key="prompts.text", has_text=True, help="Send this one prompt."),
    _prompts(
        "--prompts",
        "prompts_file",
        key="prompts.file",
        metavar="FILE",
        help="Prompt file: text (one per line), JSONL, JSON, ShareGPT, CSV, or Parquet (extra: datasets).",
    ),
    _prompts(
        "--chats",
        key="prompts.chats",
        metavar="FILE",
        help="Chats for --users: JSONL with `messages`, ShareGPT, or a file of `record`. [default: built in]",
    ),
    _prompts(
        "--answers",
        key="prompts.answers",
        type=click.Choice(["recorded", "live"]),
        help="Answers in a chat's history: those of the file (same work for all servers), or the server's own. "
        "[default: recorded]",
    ),
    _prompts(
        "--shared-system",
        key="prompts.shared_system",
        metavar="FILE",
        help="File with a system message for all chats; one nonce per run, so that a cache may hold it.",
    ),
    _prompts(
        "--column",
        key="prompts.column",
        metavar="NAME",
        help="Column or key of --prompts or --chats to read. [default: the first known name]",
    ),
    _prompts(
        "--sample",
        key="prompts.sample",
        type=int,
        metavar="N",
        help="Random sample of --prompts or --chats, drawn by --seed. [default: all, at most 10,000]",
    ),
    _prompts(
        "--cache",
        key="prompts.cache",
        type=click.Choice(["unique", "repeat"]),
        help="unique: no prefix cache can answer; repeat: send the same prompts again.",
    ),
    _prompts("--max-tokens", key="request.max_tokens", type=int, help="Longest answer to request, in tokens."),
    _prompts(
        "--extra-body",
        key="request.extra",
        has_text=True,
        metavar="JSON",
        callback=flags.json_object,
        help="Extra fields for each request, merged last, such as '{\"top_k\": 1}'.",
    ),
    _prompts("--temperature", key="request.temperature", type=float, help="Sampling temperature."),
    _prompts(
        "--seed",
        key="request.seed",
        type=int,
        help="Seed of the prompt order, and of sampling where the server honors it.",
    ),
    _prompts(
        "--tokenizer",
        key="tokenizer",
        metavar="FILE",
        help="Count tokens with this tokenizer.json (needs the extra `tokenizer`).",
    ),
    _limit("--connect-timeout", key="timeouts.connect", metavar="10s", help="Longest wait for a connection."),
    _limit(
        "--first-token-timeout",
        key="timeouts.first_token",
        metavar="5m",
        help="Longest wait for the first token, including queue and prefill.",
    ),
    _limit("--gap-timeout", key="timeouts.gap", metavar="60s", help="Longest silence inside an answer."),
    _limit("--request-timeout", key="timeouts.request", metavar="10m", help="Longest whole request."),
    _limit(
        "--no-progress-timeout",
        key="timeouts.no_progress",
        metavar="120s",
        help="Abort a level after this long without a byte from the server. [default: 120s, or just over the "
        "timeouts above]",
    ),
    _limit("--max-errors", key="load.max_errors", type=int, help="Abort a level after this many failed requests."),
    _limit(
        "--max-error-rate",
        key="load.max_error_rate",
        metavar="20%",
        help="Abort a level when more than this share of its last 20 requests failed.",
    ),
    _limit("--slo-ttft", key="slo.ttft", metavar="1s", help="Goodput: TTFT limit."),
    _limit("--slo-tpot", key="slo.tpot", metavar="50ms", help="Goodput: limit of the time per output token."),
    _limit("--slo-e2e", key="slo.e2e", metavar="20s", help="Goodput: limit of the end-to-end time."),
    _comparison(
        "--blocks", key="load.blocks", type=int, help="Blocks per target and level. [default: 6; 1 for one target]"
    ),
    _comparison("--pause", key="load.pause", former="--settle", metavar="2s", help="Pause before each block."),
    _comparison(
        "--until-conclusive",
        former="--until-settled",
        is_flag=True,
        help="Add blocks until TTFT and decode tok/s are conclusive at each level.",
    ),
    _comparison(
        "--max-duration",
        metavar="20m",
        callback=flags.duration_seconds,
        help="Add no blocks after this long. [default: 20m]",
    ),
    _comparison(
        "--detect",
        metavar="5%",
        callback=flags.percent,
        help="Add blocks until a difference of this size is detectable with 80 % power, within --max-duration.",
    ),
    _comparison(
        "--budget",
        metavar="5m",
        callback=flags.duration_seconds,
        help="Fit levels, blocks and checks into this time.",
    ),
    _comparison(
        "--isolate",
        is_flag=True,
        help="Before each block, have the other servers unload their models; restore them at the end.",
    ),
    _comparison(
        "--accept", metavar="REASON", help="Compare in spite of failed same-work checks. The result records the reason."
    ),
    _check(
        "--tool-call/--no-tool-call",
        key="checks.include_tool_call",
        default=None,
        help="Ask each model for a tool call.",
    ),
    _check(
        "--skill",
        key="checks.include_skills",
        multiple=True,
        metavar="NAME",
        help="Run this skill on the server. Repeatable.",
    ),
    _check("--skill-timeout", key="checks.skill_timeout", metavar="30s", help="Longest wait for a skill."),
    _check(
        "--stability/--no-stability",
        key="checks.stability",
        default=None,
        help="Compare answers to one prompt at each concurrency, at temperature 0.",
    ),
    _check(
        "--server-benchmark",
        is_flag=True,
        help="Run Opta-LMX's own benchmark too and show both (needs its admin key).",
    ),
    flags.LOOP,
    flags.STAMPS,
    _advanced(
        "--workers",
        type=click.IntRange(1, 64),
        help="Measuring processes. [default: what the calibration says the load needs, usually 1]",
    ),
    _advanced(
        "--cluster",
        with_resume=True,
        metavar="auto|HOST:PORT",
        help="Measure from the machines of a Ray cluster, one process on each; auto, HOST:PORT or ray://HOST:PORT "
        "(extra: cluster).",
    ),
    _advanced("--nodes", type=click.IntRange(1, 1000), help="How many machines of --cluster measure. [default: all]"),
    _advanced("--no-calibrate", is_flag=True, help="Skip the calibration. The result has no measurement error."),
    _advanced(
        "--allow-concurrent",
        with_resume=True,
        is_flag=True,
        help="Run even if another lmx-loadgen is measuring on this machine. The result records it.",
    ),
    _target(
        "--resume",
        with_resume=True,
        metavar="RUN",
        type=PATH,
        help="Resume the run in this folder.",
    ),
    _comparison(
        "--repeat",
        type=click.IntRange(1, 100),
        default=1,
        show_default=True,
        help="Number of whole runs, for `compare --base --new`.",
    ),
    _target(
        "--dry-run",
        is_flag=True,
        help="Check files and servers (GET requests only), print the plan and its duration, and stop.",
    ),
    flags.out("Where runs are stored."),
    _output(
        "--no-text",
        is_flag=True,
        help="Do not store what prompts and answers say, only their times, counts and lengths.",
    ),
    flags.reference("expect"),
    flags.as_json("the summary as "),
    flags.VERBOSE,
    _output("--quiet", "-q", with_resume=True, is_flag=True, help="Print only errors."),
)

# Profile key → the flag that overrides it.
PROFILE_FLAGS = {flag.key: flag for flag in RUN_FLAGS if flag.key is not None}
