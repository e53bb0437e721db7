"""A measuring process that stops dead, without ending, a quarter of a second into measuring."""

import asyncio
import os
import signal

from lmx_loadgen.load import worker
from lmx_loadgen.load.job import JobRun
from lmx_loadgen.load.messages import Go

_measure = JobRun.measure


async def measure_and_stop(self: JobRun, go: Go) -> None:
    asyncio.get_running_loop().call_later(0.25, os.kill, os.getpid(), signal.SIGSTOP)
    await _measure(self, go)


if __name__ == "__main__":
    JobRun.measure = measure_and_stop  # type: ignore[method-assign]
    worker.main()
