# SPDX-License-Identifier: MIT
"""An event loop that the main module makes at import: what happens in one child is not seen by its sibling's."""
import asyncio
import multiprocessing as mp
import os
loop = asyncio.new_event_loop()


def first(ready, done):
    reader, writer = os.pipe()
    loop.add_reader(reader, print, "never: the loop doesn't run")
    os.write(writer, b"x")
    ready.set()
    done.wait(20)


def second():
    reader, _ = os.pipe()
    loop.add_reader(reader, print, "a sibling's event is seen")
    loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, os.getpid), 10))


if __name__ == "__main__":
    ready, done = mp.Event(), mp.Event()
    process = mp.Process(target=first, args=(ready, done))
    process.start()
    ready.wait(20)
    other = mp.Process(target=second)
    other.start(); other.join()
    done.set(); process.join()
    print(process.exitcode, other.exitcode)
    loop.close()
