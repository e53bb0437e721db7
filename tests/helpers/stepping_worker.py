"""A measuring process whose wall clock is stepped all the time: by five seconds, or an hour, to either side.

A step changes the kernel's stamps and the clock alike, so that only a read whose bytes were stamped before it and which
is dated after it sees the two disagree. Every third reading of the clock here is such a one.
"""

import itertools
import time

from lmx_loadgen.load import worker

STEPS_S = (5, -5, 3600, -3600)
_wall = time.time_ns
_calls = itertools.count()
_steps = itertools.cycle(STEPS_S)


def stepped() -> int:
    return _wall() + (next(_steps) * 1_000_000_000 if next(_calls) % 3 == 2 else 0)


if __name__ == "__main__":
    time.time_ns = stepped
    worker.main()
