"""The command line, called in this process."""

from click.testing import CliRunner, Result

from lmx_loadgen.cli import main

# A run of eight requests at two levels.
SMALL = ("-n", "4", "-c", "1,2", "--max-tokens", "8", "--warmup", "0", "--no-calibrate")


def lmx_loadgen(*arguments: object, env: dict[str, str] | None = None) -> Result:
    """`lmx-loadgen` with these arguments, and with `env` beside the environment that is there."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)


def sentence_of(result: Result) -> str:
    """What stderr says: one sentence, after the word Error."""
    said = result.stderr.strip()
    assert said.startswith("Error: "), said
    assert "\n" not in said
    assert "Traceback" not in said
    return said.removeprefix("Error: ")
