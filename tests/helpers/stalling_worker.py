"""A measuring process whose event loop something holds up for 50 ms, a quarter of a second into measuring."""

import asyncio
import time

from lmx_loadgen.load import worker
from lmx_loadgen.load.job import JobRun
from lmx_loadgen.load.messages import Go

_measure = JobRun.measure


async def measure_with_a_stall(self: JobRun, go: Go) -> None:
    asyncio.get_running_loop().call_later(0.25, time.sleep, 0.05)
    await _measure(self, go)


if __name__ == "__main__":
    JobRun.measure = measure_with_a_stall  # type: ignore[method-assign]
    worker.main()
