"""A measuring process whose event loop something holds up for 50 ms, a quarter of a second into measuring."""

import asyncio
import time

from lmx_loadgen.load import closed_loop, worker
from lmx_loadgen.load.messages import Go

_measure = closed_loop.ClosedLoop.measure


async def measure_with_a_stall(self: closed_loop.ClosedLoop, go: Go) -> None:
    asyncio.get_running_loop().call_later(0.25, time.sleep, 0.05)
    await _measure(self, go)


if __name__ == "__main__":
    closed_loop.ClosedLoop.measure = measure_with_a_stall  # type: ignore[method-assign]
    worker.main()
