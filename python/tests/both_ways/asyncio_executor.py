# SPDX-License-Identifier: MIT
"""run_in_executor() with a pool of processes."""
import asyncio
from concurrent.futures import ProcessPoolExecutor


def work(n): return n * n
def fail(): raise LookupError("of a worker")


async def main():
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2) as executor:
        print(await asyncio.gather(*[loop.run_in_executor(executor, work, n) for n in range(5)]))
        try: await loop.run_in_executor(executor, fail)
        except LookupError as error: print(repr(error))


if __name__ == "__main__":
    asyncio.run(main())
