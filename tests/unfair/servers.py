"""Several of the servers in a process of their own: `python -m tests.unfair.servers NAME …` prints their ports."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.helpers.paths import ROOT
from tests.unfair.honest import Q4KM, Honest, HonestCopy, Mlx4Bit
from tests.unfair.ways import WAYS
from tests.unfair.wire import serve

_END_S = 10.0


KINDS = {**WAYS, **{kind.__name__: kind for kind in (Honest, HonestCopy, Mlx4Bit, Q4KM)}}


@contextmanager
def served(names: Sequence[str]) -> Iterator[dict[str, str]]:
    """The servers' addresses by name, as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unfair.servers", *names],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ports = process.stdout.readline().split()
        yield {name: f"http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
    finally:
        process.stdin.close()
        process.wait(_END_S)
        process.stdout.close()


async def _main(names: Sequence[str]) -> None:
    """Serve until standard input ends."""
    running = [KINDS[name]() for name in names]
    print(*[await serve(server.model, server.answer) for server in running], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main(sys.argv[1:]))
