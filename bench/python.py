# SPDX-License-Identifier: MIT
"""The Python package against the stock fork server, fork and spawn. Part of bench.py."""

import os
import sys

from subject import Subject, result

HERE = os.path.dirname(os.path.abspath(__file__))
METHODS = {"ours": ("default", ["-m", "forkserver"]), "stock": ("forkserver", []), "fork": ("fork", []),
           "spawn": ("spawn", [])}
RARELY = 5  # turns of the others to one of spawn, which takes fifty times as long as ours

# name, what, function, program, spawns in all, in all when quick, in a turn, processes in each, unit, bar against stock
CASES = [
    ("python-start-join", "Process(target=noop), start and join", "start_join", "plain.py", 600, 300, 25, 1, "us", 8),
    ("python-8-in-flight", "the same, eight at once, time each", "in_flight", "plain.py", 1000, 300, 50, 1, "us", 8),
    ("python-pandas", "start and join, pandas and numpy preloaded", "start_join", "pandas_loaded.py", 400, 300, 20, 1,
     "us", 5),
    ("python-pool", "Pool(4), a map of 100 items, closed", "pool", "plain.py", 300, 40, 10, 4, "us", 3),
    ("python-memory", "private dirty memory of a child, pandas preloaded", "memory", "pandas_loaded.py", 40, 20, 5, 1,
     "KiB", 2),
]
# name, what, function, with pandas, tasks in a turn, turns (if quick), bar against fresh processes
EXECUTOR_CASES = [
    ("python-executor", "Executor, two workers, 500 tasks that do nothing, time each", "tasks", "", 500, 10, 3, 10),
    ("python-executor-frames", "the same, pandas preloaded, a DataFrame of 8 MB in and out", "frames", "-pandas", 20,
     10, 3, None),
]
EXECUTORS = ["ours", "stock", "reusing"]


def start(program, method):
    name, words = METHODS[method]
    return Subject([sys.executable, *words, os.path.join(HERE, "python", program)], [name])


def measure(case, quick):
    name, what, function, program, full, few, turn, processes, unit, bar = case
    if "pandas" in program and not os.path.exists("/usr/lib/python3/dist-packages/pandas"):
        return {"name": name, "met": None, "skipped": "pandas isn't installed (Debian package python3-pandas)"}
    subjects = {method: start(program, method) for method in METHODS}
    for subject in subjects.values():
        subject.turn(f"{function} 2", 0)
    for i in range((few if quick else full) // turn):
        for method, subject in subjects.items():
            if method != "spawn" or i % RARELY == 0:
                subject.turn(f"{function} {turn}", turn * processes)
    ours, stock, fork, spawn = subjects.values()
    for subject in subjects.values():
        subject.close()
    low, high = ours.quartiles
    peers = [(f"stock fork server of {sys.version_info[0]}.{sys.version_info[1]}", stock.median),
             ("fork", fork.median), ("spawn", spawn.median)]
    return result(name, what, ours.median, peers, unit, bar, higher_is_better=True,
                  note=f"{ours.spawns} processes, quartiles {low:.0f} to {high:.0f}; CPU time each, over all "
                       f"processes: ours {ours.cpu_each:.0f} us, stock {stock.cpu_each:.0f}, fork {fork.cpu_each:.0f}, "
                       f"spawn {spawn.cpu_each:.0f}")


def measure_executor(case, quick):
    name, what, function, pandas, n, turns, few, bar = case
    if sys.version_info < (3, 11):
        return {"name": name, "met": None, "skipped": "max_tasks_per_child is new in Python 3.11"}
    if pandas and not os.path.exists("/usr/lib/python3/dist-packages/pandas"):
        return {"name": name, "met": None, "skipped": "pandas isn't installed (Debian package python3-pandas)"}
    program = [sys.executable, os.path.join(HERE, "python", "executor.py")]
    subjects = [Subject(program, [executor + pandas]) for executor in EXECUTORS]
    for subject in subjects:
        subject.turn(f"{function} 4", 0)
    for _ in range(few if quick else turns):
        for subject in subjects:
            subject.turn(f"{function} {n}", n)
    for subject in subjects:
        subject.close()
    ours, stock, reusing = subjects
    low, high = ours.quartiles
    peers = [("ProcessPoolExecutor(max_tasks_per_child=1), stock fork server", stock.median),
             ("ProcessPoolExecutor, whose workers stay", reusing.median)]
    return result(name, what, ours.median, peers, "us", bar, higher_is_better=True,
                  note=f"{ours.spawns} tasks, quartiles {low:.0f} to {high:.0f}; CPU time each, over all processes: "
                       f"ours {ours.cpu_each:.0f} us, fresh {stock.cpu_each:.0f}, reusing {reusing.cpu_each:.0f}")


def measure_all(quick, names):
    for cases, function in (CASES, measure), (EXECUTOR_CASES, measure_executor):
        for case in cases:
            if not names or case[0] in names:
                yield function(case, quick)
