# SPDX-License-Identifier: MIT
"""asyncio in a child: subprocesses, streams, signals."""
import asyncio
import multiprocessing as mp
import os
import signal


async def work():
    process = await asyncio.create_subprocess_exec("sh", "-c", "cat; exit 4", stdin=-1, stdout=-1)
    output, _ = await process.communicate(b"through a subprocess")
    print(output, process.returncode, flush=True)
    heard = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(heard.wait(), 10)
    print(await asyncio.to_thread(len, "text"), flush=True)


def child(): asyncio.run(work())


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
