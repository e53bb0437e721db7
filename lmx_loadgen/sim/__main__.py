"""`python -m lmx_loadgen.sim '{"port": 8000}'`, or the settings as one line of JSON on stdin.

Prints `READY {"url": …, "port": …}` once it listens. With settings on stdin it also ends when stdin does, so that it
never outlives the process that started it.
"""

import json
import os
import sys
from dataclasses import asdict

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.sim.server import Listening, serve
from lmx_loadgen.sim.settings import SimSettings


def _say_ready(ready: Listening) -> None:
    print("READY " + json.dumps(asdict(ready)), flush=True)


def _first_line(descriptor: int) -> str:
    """Byte by byte, so that nothing after the line is swallowed."""
    line = bytearray()
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def main() -> int:
    """Serve; the exit code is the error's, if there is one."""
    try:
        if len(sys.argv) > 1:
            serve(SimSettings.from_json(sys.argv[1]), _say_ready)
        else:
            serve(SimSettings.from_json(_first_line(0)), _say_ready, control=0)
    except LoadgenError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
