# SPDX-License-Identifier: MIT
"""Part 3: many calls with results, of which some crash, hang, take too much memory or raise.

As a program it is the ordinary way: a ProcessPoolExecutor that makes the calls of the items on standard input.
usage: accidents.py PROCESSES"""

import concurrent.futures
import ctypes
import hashlib
import os
import resource
import sys
import threading

MEMORY = 256 << 20
TIMEOUT = 5.0
# In the order in which they come.
KINDS = ["memory", "crash", "hang", "wrong", "crash", "memory", "hang", "crash"]


def make_items(n):
    """Makes named items, and says which of them go wrong: {name: kind}."""
    names = [f"page-{number:04}" for number in range(1, n + 1)]
    return names, {names[(i + 1) * n // (len(KINDS) + 1)]: kind for i, kind in enumerate(KINDS)}


def expected(name):
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def work(name, kind=None):
    """What is done with an item; `kind` is the accident that happens."""
    if kind == "crash":
        ctypes.string_at(0)
    elif kind == "hang":
        threading.Event().wait()
    elif kind == "memory":
        blocks = []
        while True:
            blocks.append(bytearray(16 << 20))
    elif kind == "wrong":
        raise ValueError(f"{name} has no title")
    return expected(name)


def _limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run_pool(n_jobs, items):
    """Prints a line for each item of which there is a result or an error of its own, and at last what broke."""
    broken = None
    with concurrent.futures.ProcessPoolExecutor(n_jobs, initializer=_limit_memory) as executor:
        futures = {executor.submit(work, *item): item[0] for item in items}
        for future in concurrent.futures.as_completed(futures):
            try:
                print(futures[future], future.result(), flush=True)
            except concurrent.futures.process.BrokenProcessPool as error:
                broken = str(error)
            except Exception as error:
                print(futures[future], type(error).__name__, flush=True)
    if broken:
        sys.exit(f"BrokenProcessPool: {broken}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run_pool(int(sys.argv[1]), [line.split() for line in sys.stdin])
