"""The flags of `run`, in the order and under the headings in which its help shows them."""

from functools import partial

import click

from lmx_loadgen.commands import flags
from lmx_loadgen.commands.flags import PATH, Flag

_target = partial(Flag, group="Target")
_load = partial(Flag, group="Load")
_prompts = partial(Flag, group="Prompts")
_limit = partial(Flag, group="Limits")
_goodput = partial(Flag, group="Goodput")
_comparison = partial(Flag, group="Comparison")
_check = partial(Flag, group="Checks")
_measurement = partial(Flag, group="Measurement")
_output = partial(Flag, group="Output")

RUN_FLAGS: tuple[Flag, ...] = (
    _target(
        "--target",
        "-t",
        "targets",
        multiple=True,
        metavar="NAME[=URL]",
        help="Server to measure: lmx, ollama, lmstudio, llamacpp, mlx-lm, vllm, sim, an address, or NAME=URL for a "
        "name of your own (NAME=DIALECT+URL forces a dialect), one of `targets add`, or `auto` for every local server "
        "with a model loaded. Repeatable. [default: ask on a terminal, else sim]",
    ),
    _target(
        "--yes",
        "-y",
        is_flag=True,
        help="Without --target: measure every local server that has a model loaded, and ask nothing.",
    ),
    _target(
        "--model",
        "-m",
        "models",
        multiple=True,
        metavar="[TARGET=]ID",
        help="Model to ask for. [default: the server's only loaded chat model]",
    ),
    _target(
        "--server-cmd",
        "server_cmds",
        multiple=True,
        metavar="NAME='COMMAND {port}'",
        help="Start a server with this command, measure it and end it, --restarts times in random turns with the "
        "others. A restart is one observation. Repeatable.",
    ),
    _target(
        "--restarts",
        type=click.IntRange(1, 100),
        default=5,
        show_default=True,
        help="How often to start each server of --server-cmd.",
    ),
    _target("--endpoint", key="endpoint", type=click.Choice(["chat", "completions"]), help="Which API to stream from."),
    flags.INSECURE,
    flags.ALLOW_PLAIN_HTTP,
    flags.CA_FILE,
    _target(
        "--i-own-this-server",
        is_flag=True,
        help="Allow a load of over 4 in flight, 200 requests or 120 s on an address that is neither loopback nor "
        "private.",
    ),
    _load(
        "--profile",
        "-p",
        default="quick",
        show_default=True,
        metavar="NAME|FILE",
        help="Load profile; flags win over it.",
    ),
    _load(
        "--concurrency",
        "-c",
        key="load.concurrency",
        callback=flags.concurrency_levels,
        metavar="1,4,8",
        help="Requests in flight, one level each.",
    ),
    _load("--requests", "-n", key="load.requests", type=int, help="Measured requests per level."),
    _load(
        "--duration",
        "-d",
        key="load.duration",
        metavar="30s",
        help="Send for this long per level (30s, 2m); the rest is awaited.",
    ),
    _load("--warmup", key="load.warmup", type=int, help="Warm-up requests per slot, never measured."),
    _load(
        "--stagger",
        key="load.stagger",
        metavar="auto|SECONDS",
        help="Spread of the slots' first requests (auto: one response).",
    ),
    _prompts("--prompt", key="prompts.text", help="Use this one prompt."),
    _prompts(
        "--prompts",
        "prompts_file",
        key="prompts.file",
        metavar="FILE",
        help="Prompts: text (one a line), JSONL with `messages` or `prompt`, a JSON array of them, or ShareGPT.",
    ),
    _prompts(
        "--cache",
        key="prompts.cache",
        type=click.Choice(["unique", "repeat"]),
        help="unique: no prefix cache can answer; repeat: the same prompts again and again.",
    ),
    _prompts("--max-tokens", key="request.max_tokens", type=int, help="Longest answer asked for."),
    _prompts(
        "--extra-body",
        key="request.extra",
        metavar="JSON",
        callback=flags.json_object,
        help="Further fields of each request, merged in last, like '{\"top_k\": 1}'.",
    ),
    _prompts("--temperature", key="request.temperature", type=float),
    _prompts("--seed", key="request.seed", type=int, help="Seed of the prompt order, and of sampling where honoured."),
    _prompts(
        "--tokenizer", key="tokenizer", metavar="FILE", help="tokenizer.json to count tokens with (extra: tokenizer)."
    ),
    _limit("--connect-timeout", key="timeouts.connect", metavar="10s"),
    _limit(
        "--first-token-timeout",
        key="timeouts.first_token",
        metavar="5m",
        help="Longest wait for the first token, queue and prefill included.",
    ),
    _limit("--gap-timeout", key="timeouts.gap", metavar="60s", help="Longest silence inside an answer."),
    _limit("--request-timeout", key="timeouts.request", metavar="10m", help="Longest whole request."),
    _limit(
        "--no-progress-timeout",
        key="timeouts.no_progress",
        metavar="120s",
        help="End a level after this long without a byte from the server. [default: 120s, or just over the limits "
        "above where they allow longer silence]",
    ),
    _limit(
        "--max-errors", key="load.max_errors", type=int, help="End a level once so many of its requests have failed."
    ),
    _limit(
        "--max-error-rate",
        key="load.max_error_rate",
        metavar="20%",
        help="… or more than this share of its last 20 requests (from 10 on).",
    ),
    _goodput("--slo-ttft", key="slo.ttft", metavar="1s", help="Goodput counts requests with a TTFT within this."),
    _goodput("--slo-tpot", key="slo.tpot", metavar="50ms", help="… a time per output token within this."),
    _goodput("--slo-e2e", key="slo.e2e", metavar="20s", help="… and an end-to-end time within this."),
    _comparison(
        "--blocks", key="load.blocks", type=int, help="Blocks of each target a level. [default: 6; 1 for one target]"
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
        help="… but add none after this long. [default: 20m]",
    ),
    _comparison(
        "--detect",
        metavar="5%",
        callback=flags.percent,
        help="Add blocks until a difference of this size would be found with 80 % power, within --max-duration.",
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
        help="Before each block, have the other servers unload their models (and load them again).",
    ),
    _comparison("--accept", metavar="REASON", help="Compare in spite of failed checks; the reason is stored."),
    _check(
        "--tool-call/--no-tool-call",
        key="checks.include_tool_call",
        default=None,
        help="Whether to ask each model for a tool call.",
    ),
    _check(
        "--skill",
        key="checks.include_skills",
        multiple=True,
        metavar="NAME",
        help="Skill to run on the server. Repeatable.",
    ),
    _check("--skill-timeout", key="checks.skill_timeout", metavar="30s", help="Longest wait for a skill."),
    _check(
        "--stability/--no-stability",
        key="checks.stability",
        default=None,
        help="Whether to compare answers to one prompt, alone and among others, at temperature 0.",
    ),
    _check(
        "--server-benchmark",
        is_flag=True,
        help="Have Opta-LMX measure itself too, and show both (needs its admin key).",
    ),
    flags.LOOP,
    flags.STAMPS,
    _measurement(
        "--workers",
        type=click.IntRange(1, 64),
        help="Measuring processes. [default: as many as the calibration says the load needs, usually one]",
    ),
    _measurement("--no-calibrate", is_flag=True, help="Give no instrument error; the result says so."),
    _measurement(
        "--allow-concurrent",
        with_resume=True,
        is_flag=True,
        help="Measure although another run on this machine is on; noted.",
    ),
    _measurement(
        "--resume",
        with_resume=True,
        metavar="RUN",
        type=PATH,
        help="Go on with the run in this folder, which was stopped or cut off.",
    ),
    _measurement(
        "--repeat",
        type=click.IntRange(1, 100),
        default=1,
        show_default=True,
        help="Make this many whole runs, one after the other, to compare by --base and --new.",
    ),
    _measurement(
        "--dry-run",
        is_flag=True,
        help="Open every file, ask the servers who they are (reads only), print the plan and its duration, and stop.",
    ),
    flags.out("Where runs are stored."),
    flags.reference("expect"),
    flags.as_json("the summary as "),
    _output("--quiet", "-q", with_resume=True, is_flag=True, help="Print only errors."),
)

# Profile key → the flag that overrides it.
PROFILE_FLAGS = {flag.key: flag for flag in RUN_FLAGS if flag.key is not None}
