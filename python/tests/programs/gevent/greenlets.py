# SPDX-License-Identifier: MIT
"""Greenlets beside processes: they run while one is started and joined, and processes do what they do."""
from gevent import monkey

monkey.patch_all()

import multiprocessing  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

ticks = []


def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.02)


def child(seconds, code):
    time.sleep(seconds)
    raise SystemExit(code)


def run(code):
    process = multiprocessing.Process(target=child, args=(0.5, code))
    process.start()
    before = len(ticks)
    process.join()
    return process.exitcode, len(ticks) - before > 5


if __name__ == "__main__":
    gevent.spawn(tick)
    jobs = [gevent.spawn(run, code) for code in range(3)]
    gevent.joinall(jobs)
    print([job.value for job in jobs])
