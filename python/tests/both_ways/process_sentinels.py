# SPDX-License-Identifier: MIT
"""connection.wait() of sentinels, polls of exitcode, join() with a time limit."""
import multiprocessing as mp
from multiprocessing.connection import wait


def child(event, code):
    event.wait(20)
    raise SystemExit(code)


if __name__ == "__main__":
    events = [mp.Event() for _ in range(3)]
    processes = [mp.Process(target=child, args=(event, code)) for code, event in enumerate(events)]
    for process in processes: process.start()
    running = {process.sentinel: process for process in processes}
    print(wait(list(running), 0), [process.exitcode for process in processes])
    processes[0].join(0.01)
    print(processes[0].is_alive())
    for event in reversed(events):
        event.set()
        for sentinel in wait(list(running), 20):
            process = running.pop(sentinel)
            process.join()
            print(process.name, process.exitcode)
