# SPDX-License-Identifier: MIT
"""An event loop that the main module makes at import: siblings use it at the same time."""
import asyncio
import multiprocessing as mp
import time
loop = asyncio.new_event_loop()


async def work():
    for _ in range(50): await loop.run_in_executor(None, time.sleep, 0.001)


def child(): loop.run_until_complete(work())


if __name__ == "__main__":
    processes = [mp.Process(target=child, daemon=True) for _ in range(4)]
    for process in processes: process.start()
    for process in processes: process.join(10)
    print([process.exitcode for process in processes])
    loop.close()
