"""The command line: flags in, exit codes out, no logic. Heavy rooms are imported by the command that needs them."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lmx_loadgen import __version__
from lmx_loadgen.errors import LoadgenError, NothingMeasured, StoppedEarly
from lmx_loadgen.report.sanitize import sanitize

_SIM_DIALECTS = ["openai", "lmx", "ollama", "lmstudio", "llamacpp", "mlx-lm", "vllm"]


def _shown(words: object) -> str:
    """A sentence fit for a terminal: servers and files have put words in it."""
    return sanitize(words, 4000)


class _Failure(click.ClickException):
    """A LoadgenError on its way out: one sentence on stderr, and its own exit code."""

    def __init__(self, error: LoadgenError) -> None:
        super().__init__(_shown(error))
        self.error = error

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self.error.exit_code


class _Commands(click.Group):
    """Turns the package's errors into click's, so that no traceback reaches a user."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LoadgenError as error:
            raise _Failure(error) from error
        except KeyboardInterrupt:
            click.echo("stopped; nothing was measured", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lmx-loadgen")
def main() -> None:
    """Measure how fast a local LLM server is for someone talking to it.

    \b
    lmx-loadgen run --target lmx        measure a server (without --target: the built-in simulator)
    lmx-loadgen plot                    draw every stored run as one page
    """


def _concurrency(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers; write it like 1,4,8", ctx, param) from None


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    from lmx_loadgen.profile.models import seconds

    try:
        return None if value is None else seconds(value)
    except ValueError as problem:
        raise click.BadParameter(f"{value!r} {problem}", ctx, param) from None


def _share(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        share = float(value.removesuffix("%").strip()) / 100
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise click.BadParameter(f"{value!r} is no share; write it like 3%", ctx, param)
    return share


def _run_options(command: Any) -> Any:
    """The flags of `run`, in the order the help shows them."""
    options = [
        click.option(
            "--target",
            "-t",
            "targets",
            multiple=True,
            metavar="NAME[=URL]",
            help="Server to measure: lmx, ollama, lmstudio, llamacpp, mlx-lm, vllm, sim, an address, or NAME=URL for a "
            "name of your own (NAME=DIALECT+URL to force a dialect). Repeatable. [default: sim]",
        ),
        click.option(
            "--model",
            "-m",
            "models",
            multiple=True,
            metavar="[TARGET=]ID",
            help="Model to ask for. [default: the server's only loaded chat model]",
        ),
        click.option(
            "--profile",
            "-p",
            default="quick",
            show_default=True,
            metavar="NAME|FILE",
            help="Load profile; flags win over it.",
        ),
        click.option(
            "--concurrency",
            "-c",
            callback=_concurrency,
            metavar="1,4,8",
            help="Requests in flight, one level each.",
        ),
        click.option("--requests", "-n", type=int, help="Measured requests per level."),
        click.option(
            "--duration",
            "-d",
            metavar="30s",
            help="Send for this long per level (30s, 2m); the rest is awaited.",
        ),
        click.option("--warmup", type=int, help="Warm-up requests per slot, never measured."),
        click.option(
            "--stagger",
            metavar="auto|SECONDS",
            help="Spread of the slots' first requests (auto: one response).",
        ),
        click.option("--max-tokens", type=int, help="Longest answer asked for."),
        click.option("--temperature", type=float),
        click.option("--seed", type=int, help="Seed of the prompt order, and of sampling where honoured."),
        click.option("--prompt", help="Use this one prompt."),
        click.option(
            "--prompts",
            "prompts_file",
            metavar="FILE",
            help="Prompts: text (one a line) or JSONL with `messages` or `prompt`.",
        ),
        click.option(
            "--cache",
            type=click.Choice(["unique", "repeat"]),
            help="unique: no prefix cache can answer; repeat: the same prompts again and again.",
        ),
        click.option("--endpoint", type=click.Choice(["chat", "completions"]), help="Which API to stream from."),
        click.option("--connect-timeout", metavar="10s"),
        click.option(
            "--first-token-timeout",
            metavar="5m",
            help="Longest wait for the first token, queue and prefill included.",
        ),
        click.option("--gap-timeout", metavar="60s", help="Longest silence inside an answer."),
        click.option("--request-timeout", metavar="10m", help="Longest whole request."),
        click.option(
            "--no-progress-timeout",
            metavar="120s",
            help="End a level after this long without a byte from the server. [default: 120s, or just over the limits "
            "above where they allow longer silence]",
        ),
        click.option("--max-errors", type=int, help="End a level once so many of its requests have failed."),
        click.option(
            "--max-error-rate", metavar="20%", help="… or more than this share of its last 20 requests (from 10 on)."
        ),
        click.option("--slo-ttft", metavar="1s", help="Goodput counts requests with a TTFT within this."),
        click.option("--slo-tpot", metavar="50ms", help="… a time per output token within this."),
        click.option("--slo-e2e", metavar="20s", help="… and an end-to-end time within this."),
        click.option("--tokenizer", metavar="FILE", help="tokenizer.json to count tokens with (extra: tokenizer)."),
        click.option("--blocks", type=int, help="Blocks of each target a level. [default: 6; 1 for one target]"),
        click.option("--settle", metavar="2s", help="Pause before each block."),
        click.option(
            "--until-settled",
            is_flag=True,
            help="Add blocks until TTFT and decode tok/s are settled at each level.",
        ),
        click.option(
            "--max-duration",
            metavar="20m",
            callback=_seconds,
            help="… but add none after this long. [default: 20m]",
        ),
        click.option(
            "--isolate",
            is_flag=True,
            help="Before each block, have the other servers unload their models (and load them again).",
        ),
        click.option("--accept", metavar="REASON", help="Compare in spite of failed checks; the reason is stored."),
        click.option(
            "--resume",
            metavar="RUN",
            type=click.Path(path_type=Path),
            help="Go on with the run in this folder, which was stopped or cut off.",
        ),
        click.option("--dry-run", is_flag=True, help="Print the plan and its duration, and do nothing."),
        click.option("--tool-call/--no-tool-call", default=None, help="Whether to ask each model for a tool call."),
        click.option("--skill", multiple=True, metavar="NAME", help="Skill to run on the server. Repeatable."),
        click.option("--skill-timeout", metavar="30s", help="Longest wait for a skill."),
        click.option(
            "--stability/--no-stability",
            default=None,
            help="Whether to compare answers to one prompt, alone and among others, at temperature 0.",
        ),
        click.option(
            "--server-benchmark",
            is_flag=True,
            help="Have Opta-LMX measure itself too, and show both (needs its admin key).",
        ),
        click.option(
            "--reference",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Published figures to expect. [default: those that come with the tool]",
        ),
        click.option("--insecure", is_flag=True, help="Do not check the server's TLS certificate."),
        click.option(
            "--i-own-this-server",
            is_flag=True,
            help="Allow a load of over 4 in flight, 200 requests or 120 s on an address that is neither loopback nor "
            "private.",
        ),
        click.option(
            "--allow-plain-http",
            is_flag=True,
            help="Send API keys over plain http to servers that are not on this machine.",
        ),
        click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), help="CA certificates to trust."),
        click.option(
            "--out",
            "out",
            type=click.Path(path_type=Path),
            default=Path("reports"),
            show_default=True,
            help="Where runs are stored.",
        ),
        click.option("--loop", type=click.Choice(["uvloop", "asyncio"]), help="Event loop. [default: uvloop]"),
        click.option(
            "--stamps",
            type=click.Choice(["kernel", "loop"]),
            help="Who says when bytes came. [default: kernel where it can]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 64),
            help="Measuring processes. [default: as many as the calibration says the load needs, usually one]",
        ),
        click.option(
            "--allow-concurrent", is_flag=True, help="Measure although another run on this machine is on; noted."
        ),
        click.option("--no-calibrate", is_flag=True, help="Give no instrument error; the result says so."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else."),
        click.option("--quiet", "-q", is_flag=True, help="Print only errors."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


# flag → key of the profile it overrides
_PROFILE_KEYS = {
    "concurrency": "load.concurrency",
    "requests": "load.requests",
    "duration": "load.duration",
    "warmup": "load.warmup",
    "stagger": "load.stagger",
    "max_tokens": "request.max_tokens",
    "temperature": "request.temperature",
    "seed": "request.seed",
    "prompt": "prompts.text",
    "prompts_file": "prompts.file",
    "cache": "prompts.cache",
    "endpoint": "endpoint",
    "connect_timeout": "timeouts.connect",
    "first_token_timeout": "timeouts.first_token",
    "gap_timeout": "timeouts.gap",
    "request_timeout": "timeouts.request",
    "no_progress_timeout": "timeouts.no_progress",
    "max_errors": "load.max_errors",
    "max_error_rate": "load.max_error_rate",
    "slo_ttft": "slo.ttft",
    "slo_tpot": "slo.tpot",
    "slo_e2e": "slo.e2e",
    "tokenizer": "tokenizer",
    "blocks": "load.blocks",
    "settle": "load.settle",
    "tool_call": "checks.include_tool_call",
    "skill_timeout": "checks.skill_timeout",
    "stability": "checks.stability",
    "skill": "checks.include_skills",
}


# what may be given beside --resume: all else is as the run was begun
_BESIDE_RESUME = {"resume", "as_json", "quiet", "allow_concurrent"}


def _refuse_beside_resume(ctx: click.Context) -> None:
    for param in ctx.command.params:
        given = param.name is not None and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
        if given and param.name not in _BESIDE_RESUME:
            raise click.UsageError(f"{param.opts[0]} cannot be given with --resume: the run goes on as it was begun")


@main.command()
@_run_options
def run(**flags: Any) -> None:
    """Measure one or more servers and store what was seen.

    Exit codes: 0 measured; 2 a wrong flag; 3 a wrong profile; 5 results cannot be stored; 6 another run is on;
    7 a run that cannot be resumed; 10 nothing answers;
    11 another server answers; 12 key refused; 13 model not loaded; 14 several models; 20 every request failed;
    21 a level was given up for its errors or the server's silence; 130 Ctrl-C (what was measured is stored).
    """
    from dataclasses import replace

    from rich.console import Console

    from lmx_loadgen.report.progress import ProgressView
    from lmx_loadgen.report.terminal import print_summary, summary_json
    from lmx_loadgen.session.calibrated import calibration_for_run, workers_for
    from lmx_loadgen.session.options import Options, dry_run_lines, resolved_profile, resume_options
    from lmx_loadgen.session.run import run as run_session
    from lmx_loadgen.system import lock

    if flags["resume"]:
        _refuse_beside_resume(click.get_current_context())
    overrides = {key: flags[flag] for flag, key in _PROFILE_KEYS.items() if flags[flag] not in (None, ())}
    if "load.duration" in overrides:  # by time alone, where no number was asked for
        overrides.setdefault("load.requests", None)
    options = Options(
        profile=flags["profile"],
        overrides=overrides,
        flags={key: "--" + flag.removesuffix("_file").replace("_", "-") for flag, key in _PROFILE_KEYS.items()},
        targets=flags["targets"],
        models=flags["models"],
        out=flags["out"],
        loop=flags["loop"],
        stamps=flags["stamps"],
        insecure=flags["insecure"],
        ca_file=flags["ca_file"],
        workers=flags["workers"] or 1,
        accept=flags["accept"],
        until_settled=flags["until_settled"],
        isolate=flags["isolate"],
        max_duration=flags["max_duration"],
        reference=flags["reference"],
        server_benchmark=flags["server_benchmark"],
        i_own_this_server=flags["i_own_this_server"],
        allow_plain_http=flags["allow_plain_http"],
    )
    if flags["dry_run"]:
        click.echo("\n".join(dry_run_lines(options)))
        return
    silent = flags["as_json"] or flags["quiet"]
    with (
        lock.acquire(allow_concurrent=flags["allow_concurrent"]) as locked,
        ProgressView(Console(stderr=True), quiet=silent) as view,
    ):
        options = replace(options, lock=locked) if not flags["resume"] else resume_options(flags["resume"], locked)
        for warning in locked.warnings:
            view.say(warning)
        if flags["workers"] is None and options.resume_state is None:
            most = max(resolved_profile(options).load.concurrency)
            options = replace(options, workers=workers_for(options, most))
        if flags["no_calibrate"] or options.resume_state is not None:
            outcome = run_session(options, view, lambda loop, stamps: None)
        else:
            outcome = run_session(options, view, calibration_for_run(options, view.say))
    result = outcome.result.as_dict()
    if flags["as_json"]:
        click.echo(json.dumps({**summary_json(result), "folder": str(outcome.folder)}, indent=1))
    elif not flags["quiet"]:
        print_summary(result, Console())
        click.echo(f"stored in {outcome.folder}")
        if not outcome.result.complete:
            click.echo(f"go on with it: lmx-loadgen run --resume {outcome.folder}")
    if outcome.exit_code == NothingMeasured.exit_code:
        click.echo(f"Error: every request failed; what the server said is in {outcome.folder}", err=True)
    if outcome.exit_code == StoppedEarly.exit_code:
        click.echo(f"Error: {_shown(outcome.result.reason)}; what was measured is in {outcome.folder}", err=True)
    sys.exit(outcome.exit_code)


@main.command()
@click.option("--quick", is_flag=True, help="In under 20 s, with shorter answers.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Measuring processes.")
@click.option("--loop", type=click.Choice(["uvloop", "asyncio"]), help="Event loop. [default: uvloop]")
@click.option(
    "--stamps", type=click.Choice(["kernel", "loop"]), help="Who says when bytes came. [default: kernel where it can]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where it is stored; `run --out` looks in the same place.",
)
@click.option("--allow-concurrent", is_flag=True, help="Do it although another run on this machine is on.")
@click.option("--json", "as_json", is_flag=True, help="Print the calibration as JSON and nothing else.")
def calibrate(
    quick: bool, workers: int, loop: str | None, stamps: str | None, out: Path, allow_concurrent: bool, as_json: bool
) -> None:
    """Measure by how much this tool itself is wrong on this machine.

    It loads the built-in simulator, which logs when each request was there and each chunk was written, and prints by
    how much its own stamps differ. Runs carry the newest result and show it beside every figure. Exit codes:
    0 calibrated; 1 it failed; 5 it cannot be stored; 6 another run is on; 130 Ctrl-C.
    """
    from rich.console import Console

    from lmx_loadgen.calibration import run as calibration
    from lmx_loadgen.report.terminal import print_calibration
    from lmx_loadgen.session.calibrated import measure
    from lmx_loadgen.session.options import Options
    from lmx_loadgen.store.calibration import store
    from lmx_loadgen.system import lock

    options = Options(out=out, loop=loop, stamps=stamps, workers=workers)
    with lock.acquire(allow_concurrent=allow_concurrent) as locked:
        for warning in locked.warnings:
            click.echo(warning, err=True)
        made = calibration.calibrate(
            measure(options),
            is_quick=quick,
            report=lambda words: None if as_json else click.echo(f"{words} …", err=True),
        )
    path = store(out, made)
    if as_json:
        click.echo(json.dumps(made.model_dump(mode="json"), indent=1))
    else:
        print_calibration(made, Console())
        click.echo(f"stored in {path}")


@main.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--results-dir",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Draw every run stored here, when no RUN is named.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Published figures to hold against. [default: those that come with the tool]",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["html", "markdown", "csv", "png"]),
    default="html",
    show_default=True,
    help="A page; a summary as Markdown; every statistic as CSV; the main figures as PNG (needs kaleido).",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Where. [default: report.html, .md, .csv or .png in --results-dir]",
)
@click.option("--open/--no-open", "open_it", default=True, help="Open the page in the browser.")
def plot(
    runs: tuple[Path, ...],
    results_dir: Path,
    reference: Path | None,
    shape: str,
    output: Path | None,
    open_it: bool,
) -> None:
    """Draw stored runs as one HTML page that needs no network, or as Markdown, CSV or PNG.

    RUN is a run's folder. Exit codes: 0 drawn; 2 a PNG that cannot be made; 3 a reference file that cannot be used;
    4 no run, or one that cannot be read; 5 the report cannot be written.
    """
    from lmx_loadgen.commands.plot import plot_command

    path = plot_command(
        runs,
        results_dir,
        reference=reference,
        shape=shape,
        output=output,
        report=lambda words: click.echo(_shown(words), err=True),
    )
    click.echo(str(path))
    if open_it and shape == "html":
        click.launch(path.resolve().as_uri())


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
def recompute(runs: tuple[Path, ...]) -> None:
    """Compute `result.json` anew from `events.jsonl` alone.

    RUN is a run's folder, also of one that was killed and has no result. The same version gives the same result, byte
    for byte, and then nothing is written. A former result of another version is kept beside the new one. Exit codes:
    0 done; 4 a run that cannot be read, or is of a later version; 5 a result that cannot be stored (the others are
    done all the same).
    """
    from lmx_loadgen.commands.recompute import recompute

    failed: LoadgenError | None = None
    for folder in runs:
        try:
            click.echo(recompute(folder).sentence)
        except LoadgenError as error:
            if failed is not None:
                click.echo(f"Error: {failed}", err=True)
            failed = error
    if failed is not None:
        raise failed


@main.command()
@click.argument("sides", nargs=-1, metavar="[A [B]]")
@click.option(
    "--results-dir",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where runs and names of targets are looked for.",
)
@click.option("--margin", default="3%", show_default=True, callback=_share, help="Differences within it do not matter.")
@click.option("--accept", metavar="REASON", help="Compare in spite of failed checks; the reason stands beside it.")
@click.option(
    "--fail-on",
    "limits",
    multiple=True,
    metavar='"FIGURE > +5%"',
    help='A limit, like "ttft_p50 > +5%" or "tok_s < -3%". Repeatable.',
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["terminal", "markdown", "json", "html"]),
    default="terminal",
    show_default=True,
)
@click.option("--output", type=click.Path(path_type=Path), help="Write it there. [html: comparison.html]")
def compare(
    sides: tuple[str, ...],
    results_dir: Path,
    margin: float,
    accept: str | None,
    limits: tuple[str, ...],
    shape: str,
    output: Path | None,
) -> None:
    """Say what is better, and only what chance and drift do not explain.

    A and B are run folders, RUN:TARGET, or names of targets in the newest run. With one run, its two targets are
    compared; with nothing, those of the newest run that has two. Verdicts are on B. Exit codes: 0 compared, every limit
    kept; 2 a wrong argument; 4 no such run; 30 a limit of --fail-on is broken; 31 undecided; 32 refused.
    """
    from lmx_loadgen.commands.compare import compare_command

    compare_command(sides, results_dir, margin=margin, accept=accept, limits=limits, shape=shape, output=output)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8089, show_default=True, help="0 takes a free one.")
@click.option("--dialect", type=click.Choice(_SIM_DIALECTS), default="openai", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting, like ttft_ms=200.")
@click.option("--log", type=click.Path(dir_okay=False), help="Where the true times go (JSONL).")
def sim(port: int, dialect: str, settings: tuple[str, ...], log: str | None) -> None:
    """Keep the built-in simulator running: a server on 127.0.0.1 whose true timing is known. Ctrl-C ends it.

    Its settings and their defaults are listed by `--set help=`.
    """
    from lmx_loadgen.sim.presets import from_pairs
    from lmx_loadgen.sim.server import serve

    chosen = from_pairs(settings, port=port, dialect=dialect, log=log)
    serve(chosen, on_ready=lambda ready: click.echo(f"listening on {ready.url}/v1 (Ctrl-C ends it)"))


@main.group()
def results() -> None:
    """List, show, import and export single results: one a model and server, in the shape of Opta-LMX's benchmark plan.

    Exit codes: 0 done; 2 a wrong argument; 4 no such result, or none that can be read; 5 results cannot be stored.
    """


_results_dir = click.option(
    "--results-dir",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where runs and imported results are stored.",
)
_of_model = click.option("--model", metavar="TEXT", help="Only those with this in their model's id.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")


@results.command("list")
@_results_dir
@_of_model
@_as_json
def results_list(results_dir: Path, model: str | None, as_json: bool) -> None:
    """List every stored result, newest first: of runs, one a target, and imported ones."""
    from lmx_loadgen.commands.results import print_list

    print_list(results_dir, model, as_json)


@results.command("show")
@click.argument("which")
@_results_dir
@_as_json
def results_show(which: str, results_dir: Path, as_json: bool) -> None:
    """Show one result in full.

    WHICH is a number of `results list`, a run's folder, RUN:TARGET, or an imported file.
    """
    from lmx_loadgen.commands.results import print_one

    print_one(which, results_dir, as_json)


@results.command("import")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@_results_dir
def results_import(paths: tuple[Path, ...], results_dir: Path) -> None:
    """Import what Opta-LMX measured of itself, each result once.

    PATH is a file or a folder of them. [default: ~/.opta-lmx/benchmarks] Read are its stored results, saved answers of
    its GET /admin/benchmark/results, and its older shapes. What cannot be read is skipped, and it is said why.
    """
    from lmx_loadgen.commands.results import import_results

    import_results(paths, results_dir)


@results.command("export")
@click.argument("which", nargs=-1)
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where they go, like ~/.opta-lmx/benchmarks.",
)
@_results_dir
@_of_model
def results_export(which: tuple[str, ...], to: Path, results_dir: Path, model: str | None) -> None:
    """Write results as Opta-LMX reads them, one a file. [default: all]

    WHICH is as in `results show`; a run's folder means all its targets. A result without a figure that Opta-LMX demands
    is left out, and it is said why.
    """
    from lmx_loadgen.commands.results import export_results

    export_results(which, results_dir, to, model)


@main.command()
def schema() -> None:
    """Print the JSON schemas of `events.jsonl` and `result.json`."""
    from lmx_loadgen.store.schema import schemas

    click.echo(json.dumps(schemas(), indent=1))


@main.command()
@click.argument("name", required=False)
def profiles(name: str | None) -> None:
    """List the load profiles that come with the tool, or show one of them in full."""
    from lmx_loadgen.profile.models import load_profile, profile_names
    from lmx_loadgen.system import package_data

    if name is not None:
        load_profile(name)
        click.echo((package_data.folder("profiles") / f"{name}.yaml").read_text(encoding="utf-8"), nl=False)
        return
    for known in profile_names():
        click.echo(f"{known:14} {' '.join(load_profile(known).description.split())}")
