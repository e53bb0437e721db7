"""The command line: flags in, exit codes out, no logic. Each command's module is imported when it is called."""

import gc
import sys
from pathlib import Path
from typing import Any

import click

from lmx_loadgen import __version__
from lmx_loadgen.commands import flags
from lmx_loadgen.commands.capacity_flags import CAPACITY_FLAGS
from lmx_loadgen.commands.flags import PATH, Flag, GroupedCommand
from lmx_loadgen.commands.run_flags import RUN_FLAGS
from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.sim import DIALECT_NAMES


class _Failure(click.ClickException):
    """A LoadgenError on its way out: one sentence on stderr, and its own exit code."""

    def __init__(self, error: LoadgenError) -> None:
        super().__init__(sanitize(error, 4000))  # servers and files have put words in it
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
            click.echo("interrupted", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lmx-loadgen")
def main() -> None:
    """Measure how fast a local LLM server is for the person talking to it.

    \b
    lmx-loadgen targets                 find the servers on this machine
    lmx-loadgen run                     measure one of them, or the built-in simulator
    lmx-loadgen plot                    draw every stored run as one page
    """
    # An analysis makes tuples by the million and no cycles: looking for those took a third of its time.
    gc.set_threshold(50_000, 20, 100)


@main.command(cls=GroupedCommand, params=list(RUN_FLAGS))
def run(**values: Any) -> None:
    """Measure one or more servers and store the results.

    Exit codes: 0 measured; 2 invalid flag; 3 invalid profile; 5 results cannot be stored; 6 another lmx-loadgen is
    measuring; 7 the run cannot be resumed; 10 nothing answers; 11 another server answers; 12 key refused; 13 model not
    loaded; 14 several models; 20 every request failed; 21 a level was aborted for its errors or the server's silence;
    130 Ctrl-C (what was measured is stored).
    """
    from lmx_loadgen.commands.start import start_run

    sys.exit(start_run(values))


@main.command(cls=GroupedCommand, params=list(CAPACITY_FLAGS))
def capacity(**values: Any) -> None:
    """Find the highest load that a server serves within limits: --slo-ttft 2s --slo-tpot 100ms.

    The load doubles until too few requests keep every limit; then the edge is searched for and confirmed. Two targets
    are measured in turns and compared. Exit codes: 0 found; 40 not even the lightest load passes; 41 the heaviest load
    that was tried still passes; others as for `run`.
    """
    from lmx_loadgen.commands.capacity import capacity_command

    sys.exit(capacity_command(values))


@main.command(
    params=[
        Flag("--quick", is_flag=True, help="Take about 20 s, with shorter answers. [default: over a minute]"),
        Flag("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Measuring processes."),
        flags.LOOP,
        flags.STAMPS,
        Flag(
            "--out",
            group="Output",
            type=PATH,
            metavar="DIR",
            help="Store it here, for runs with the same --out. [default: your cache folder, for all runs]",
        ),
        Flag("--allow-concurrent", is_flag=True, help="Run even if another lmx-loadgen is measuring on this machine."),
        flags.as_json("the calibration as "),
    ]
)
def calibrate(**values: Any) -> None:
    """Measure the tool's own error on this machine.

    Loads the built-in simulator, which logs when each request arrived and each chunk was written, and prints by how
    much the tool's timestamps differ. Runs show the newest calibration beside every figure. One made on a busy machine
    is marked, and the next run on the quiet machine repeats it. Exit codes: 0 calibrated; 1 it failed; 5 it cannot be
    stored; 6 another lmx-loadgen is measuring; 130 Ctrl-C.
    """
    from lmx_loadgen.commands.calibrate import calibrate_command

    calibrate_command(**values)


@main.command(
    params=[
        click.Argument(["runs"], nargs=-1, type=PATH),
        flags.results_dir("Draw every run stored here, when no RUN is named."),
        flags.reference("hold against", type=click.Path(path_type=Path, dir_okay=False)),
        flags.report_format(
            "html",
            "markdown",
            "csv",
            "png",
            help="A page, a Markdown summary, every statistic as CSV, or the main charts as PNG (needs kaleido).",
        ),
        Flag(
            "--per",
            type=click.Choice(["level", "request"]),
            default="level",
            show_default=True,
            help="With --format csv: a row for each metric of a level, or for each request.",
        ),
        flags.output(
            "Output file. [default: report.html, .md, .csv or .png in --results-dir; requests.csv per request]"
        ),
        Flag("--open/--no-open", "open_it", default=True, help="Open the page in the browser."),
    ]
)
def plot(**values: Any) -> None:
    """Draw stored runs as one HTML page that needs no network, or as Markdown, CSV or PNG.

    RUN is a run's folder. Exit codes: 0 drawn; 2 invalid flag, or the PNG cannot be made; 3 unusable reference file;
    4 no run, or it cannot be read; 5 the report cannot be written.
    """
    from lmx_loadgen.commands.plot import plot_command

    plot_command(**values)


@main.command(params=[click.Argument(["runs"], nargs=-1, required=True, metavar="RUN...", type=PATH)])
def recompute(runs: tuple[Path, ...]) -> None:
    """Recompute `result.json` from `events.jsonl` alone.

    RUN is a run's folder, even one that was killed and has no result. The same version gives the same result, byte for
    byte, and then nothing is written. A result of another version is kept beside the new one. Exit codes: 0 done; 4 a
    run cannot be read, or is of a later version; 5 a result cannot be stored (the others are still done).
    """
    from lmx_loadgen.commands.recompute import recompute_command

    recompute_command(runs)


@main.command(
    params=[
        click.Argument(["sides"], nargs=-1, metavar="[A [B]]"),
        Flag(
            "--base",
            multiple=True,
            metavar="RUN",
            help="A run to compare with: a folder, RUN:TARGET, or a folder of runs. Repeatable.",
        ),
        Flag("--new", multiple=True, metavar="RUN", help="A run to compare with those of --base. Repeatable."),
        flags.results_dir("Look for runs and target names here."),
        Flag(
            "--margin",
            default="3%",
            show_default=True,
            callback=flags.percent,
            help="Practical margin: smaller differences count as equivalent.",
        ),
        Flag(
            "--accept",
            metavar="REASON",
            help="Compare in spite of failed same-work checks. The output shows the reason.",
        ),
        Flag(
            "--fail-on",
            "limits",
            multiple=True,
            metavar='"FIGURE > +5%"',
            help='Limit, such as "ttft_p50 > +5%" or "tok_s < -3%". Repeatable.',
        ),
        flags.report_format("terminal", "markdown", "json", "html", "junit"),
        flags.output("Output file. [default: standard output; html: comparison.html]"),
        flags.VERBOSE,
    ]
)
def compare(**values: Any) -> None:
    """Compare two targets: which one is better, beyond chance and drift.

    A and B are run folders, RUN:TARGET, or target names of the newest run. With one run, all pairs of its targets are
    compared; without arguments, those of the newest run that has several. Two separate runs are one observation each:
    a verdict takes several runs of each side (--base, --new), or three earlier runs of the same work in --results-dir.
    Verdicts are on B. Exit codes: 0 compared, every limit kept; 2 invalid argument; 4 no such run; 30 a limit of
    --fail-on is broken; 31 inconclusive; 32 refused.
    """
    from lmx_loadgen.commands.compare import compare_command

    compare_command(**values)


@main.command(
    params=[
        Flag(
            "--port",
            type=click.IntRange(0, 65535),
            default=8089,
            show_default=True,
            help="Port to listen on; 0 picks a free one.",
        ),
        Flag(
            "--dialect",
            type=click.Choice(DIALECT_NAMES),
            default="openai",
            show_default=True,
            help="Server to imitate.",
        ),
        Flag(
            "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Setting, such as ttft_ms=200. Repeatable."
        ),
        Flag("--log", type=click.Path(dir_okay=False), help="Write the true times here (JSONL)."),
    ]
)
def sim(**values: Any) -> None:
    """Run the built-in simulator: a server on 127.0.0.1 whose true timing is known. Ctrl-C stops it.

    `--set help=` lists the settings with their defaults.
    """
    from lmx_loadgen.commands.sim import sim_command

    sim_command(**values)


@main.command(
    params=[
        Flag("--listen", type=click.IntRange(0, 65535), default=8090, show_default=True, help="Port (0: a free one)."),
        Flag("--upstream", required=True, metavar="NAME[=URL]", help="Server, written as for `run --target`."),
        Flag("--out", type=PATH, metavar="FILE", help="Chats file to write. [default: chats-DATE-TIME.jsonl]"),
        Flag("--text", is_flag=True, help="Store texts too, with secrets masked. [default: only their lengths]"),
    ]
)
def record(**values: Any) -> None:
    """Pass requests of this machine's apps on to a server, and store their chats for `run --chats`.

    Point an app at http://127.0.0.1:8090/v1. Answers pass unchanged; the added delay is measured and shown at the end.
    Ctrl-C ends it; what was recorded until then is kept, even after a kill. Exit codes: 0 recorded; 2 a wrong flag, or
    a port in use; 5 the file exists or cannot be written.
    """
    from lmx_loadgen.commands.record import record_command

    record_command(**values)


@main.command(params=[flags.out("Results folder to check."), flags.as_json("the checks as ")])
def doctor(out: Path, as_json: bool) -> None:
    """Check what on this machine distorts figures or makes a run fail, and how to fix it.

    Measures nothing and changes nothing. Exit codes: 0 no problem; 8 something will distort figures; 9 something will
    make a run or a command fail.
    """
    from lmx_loadgen.commands.doctor import doctor_command

    sys.exit(doctor_command(out, as_json))


@main.command(
    params=[
        click.Argument(["target"]),
        Flag("--model", "-m", metavar="ID", help="Model to request. [default: the server's only loaded chat model]"),
        flags.INSECURE,
        flags.ALLOW_PLAIN_HTTP,
        flags.CA_FILE,
        Flag(
            "--i-own-this-server",
            is_flag=True,
            help="Allow eight concurrent requests on a public address.",
        ),
        Flag("--allow-concurrent", is_flag=True, help="Run even if another lmx-loadgen is measuring on this machine."),
        flags.as_json("the card as "),
    ]
)
def probe(**values: Any) -> None:
    """Find out with small requests what a server supports: its dialect card.

    TARGET is written as for `run --target`. About fifteen requests show how it streams, which fields it honors, ignores
    or refuses, its prefix cache, long prompts, errors and tool calls. Eight concurrent ones show how many it serves.
    Runs against the same version of the server use the card. Exit codes: 0 probed; 2 invalid argument; 5 the card
    cannot be stored; 6 another lmx-loadgen is measuring; 10 to 14 as for `run`; 20 the server answers no plain request.
    """
    from lmx_loadgen.commands.probe import probe_command

    probe_command(**values)


@main.group(invoke_without_command=True, params=[flags.as_json("the rows as ")])
@click.pass_context
def targets(ctx: click.Context, as_json: bool) -> None:
    """List the servers on this machine, what they have loaded, and the command that measures each.

    Asks the known ports of this machine and your own targets in parallel, for at most two seconds. Contacts only
    loopback addresses and your own targets. Exit codes: 0 done; 2 invalid argument; 3 the list of your own targets is
    damaged; 5 it cannot be stored.
    """
    if ctx.invoked_subcommand is None:
        from lmx_loadgen.commands.targets import print_targets

        print_targets(as_json)


@targets.command(
    "add",
    params=[
        click.Argument(["name"]),
        click.Argument(["url"]),
        Flag("--dialect", metavar="NAME", help="Treat it as this server. [default: what it is recognized as]"),
        Flag("--key-env", metavar="VARIABLE", help="Environment variable with its key, sent to this host only."),
    ],
)
def targets_add(name: str, url: str, dialect: str | None, key_env: str | None) -> None:
    """Store an address as NAME, for `--target NAME`. Keys are not stored."""
    from lmx_loadgen.commands.targets import add_target

    add_target(name, url, dialect, key_env)


@targets.command("remove", params=[click.Argument(["name"])])
def targets_remove(name: str) -> None:
    """Remove one of your own targets."""
    from lmx_loadgen.commands.targets import remove_target

    remove_target(name)


@main.command(
    params=[
        Flag(
            "--port",
            type=click.IntRange(0, 65535),
            default=8799,
            show_default=True,
            help="Port to listen on; 0 picks a free one.",
        ),
        Flag("--target", default="lmx", show_default=True, metavar="NAME[=URL]", help="The server to measure."),
        Flag("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need an admin key."),
        Flag(
            "--allow-host",
            "hosts",
            multiple=True,
            metavar="NAME",
            help="Another host name of this machine. Repeatable.",
        ),
        Flag("--tokenizer", type=PATH, metavar="FILE", help="Count tokens with this tokenizer.json."),
        Flag(
            "--results-dir",
            type=PATH,
            default=Path("~/.opta-lmx/benchmarks"),
            show_default=True,
            help="Results folder, one file per result.",
        ),
        Flag("--no-text", is_flag=True, help="Do not store or return what prompts and answers say."),
    ]
)
def serve(**values: Any) -> None:
    """Serve the benchmark plan's endpoints: POST /admin/benchmark/run and GET /admin/benchmark/results.

    The admin key comes from LMX_ADMIN_KEY or ~/.opta-lmx/admin.key; without one, only this machine is served. SIGTERM
    and Ctrl-C stop a run and keep what was measured. Needs pip install 'lmx-loadgen[serve]'. Exit codes: 2 invalid
    flag, or the port is taken; 130 Ctrl-C; 143 SIGTERM.
    """
    from lmx_loadgen.commands.serve import serve_command

    serve_command(**values)


@main.group()
def results() -> None:
    """List, show, import and export Opta-LMX result files: one result per model and server.

    Exit codes: 0 done; 2 invalid argument; 4 no such result, or none that can be read; 5 results cannot be stored.
    """


_RESULTS_DIR = flags.results_dir("Folder with runs and imported results.")
_OF_MODEL = Flag("--model", metavar="TEXT", help="Only results whose model id contains this.")


@results.command("list", params=[_RESULTS_DIR, _OF_MODEL, flags.as_json()])
def results_list(results_dir: Path, model: str | None, as_json: bool) -> None:
    """List every stored result, newest first: one per target of each run, and imported ones."""
    from lmx_loadgen.commands.results import print_list

    print_list(results_dir, model, as_json)


@results.command("show", params=[click.Argument(["which"]), _RESULTS_DIR, flags.as_json()])
def results_show(which: str, results_dir: Path, as_json: bool) -> None:
    """Show one result in full.

    WHICH is a number of `results list`, a run's folder, RUN:TARGET, or an imported file.
    """
    from lmx_loadgen.commands.results import print_one

    print_one(which, results_dir, as_json)


@results.command("import", params=[click.Argument(["paths"], nargs=-1, type=PATH, metavar="[PATH]..."), _RESULTS_DIR])
def results_import(paths: tuple[Path, ...], results_dir: Path) -> None:
    """Import results that Opta-LMX measured itself, each one once.

    PATH is a file or a folder. [default: ~/.opta-lmx/benchmarks] Reads stored results, saved responses of GET
    /admin/benchmark/results, and older formats. Skips what cannot be read and prints the reason.
    """
    from lmx_loadgen.commands.results import import_results

    import_results(paths, results_dir)


@results.command(
    "export",
    params=[
        click.Argument(["which"], nargs=-1),
        Flag("--to", required=True, type=PATH, metavar="DIR", help="Target folder, such as ~/.opta-lmx/benchmarks."),
        _RESULTS_DIR,
        _OF_MODEL,
    ],
)
def results_export(which: tuple[str, ...], to: Path, results_dir: Path, model: str | None) -> None:
    """Write results in Opta-LMX's format, one file each. [default: all]

    WHICH is as in `results show`; a run's folder means all its targets. Skips results without a figure that Opta-LMX
    requires and prints the reason.
    """
    from lmx_loadgen.commands.results import export_results

    export_results(which, results_dir, to, model)


@main.command()
def schema() -> None:
    """Print the JSON schemas of `events.jsonl` and `result.json`."""
    from lmx_loadgen.commands.schema import print_schemas

    print_schemas()


@main.command(params=[click.Argument(["name"], required=False)])
def profiles(name: str | None) -> None:
    """List the packaged load profiles, or print one of them."""
    from lmx_loadgen.commands.profiles import print_profile, print_profiles

    if name is not None:
        print_profile(name)
    else:
        print_profiles()
