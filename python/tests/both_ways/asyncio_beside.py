# SPDX-License-Identifier: MIT
"""A program with a running loop that starts processes, waits for a sentinel by add_reader(), and has subprocesses."""
import asyncio
import multiprocessing as mp


def child(): raise SystemExit(6)


async def main():
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    process = mp.Process(target=child)
    process.start()
    loop.add_reader(process.sentinel, ended.set)
    sub = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
    print(await sub.wait())
    await asyncio.wait_for(ended.wait(), 20)
    loop.remove_reader(process.sentinel)
    process.join()
    print(process.exitcode)


if __name__ == "__main__":
    asyncio.run(main())
