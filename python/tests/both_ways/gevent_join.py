# SPDX-License-Identifier: MIT
"""Greenlets run while a process is started and joined."""
# needs: gevent
# limit: 30
from gevent import monkey
monkey.patch_all()
import gevent  # noqa: E402
import multiprocessing as mp  # noqa: E402
ticks = []


def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.02)


def child():
    import time
    time.sleep(1)


if __name__ == "__main__":
    gevent.spawn(tick)
    process = mp.Process(target=child)
    process.start()
    before = len(ticks)
    process.join(20)
    print(process.exitcode, len(ticks) - before > 10)
