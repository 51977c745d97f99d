# SPDX-License-Identifier: MIT
"""Part 2: a Python tool with heavy imports, run many times."""

import concurrent.futures
import importlib.util
import os
import random
import sys

import forkserver
import jobs
import screen
from jobs import check
from screen import seconds

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.py")
SHOPS = ["Aachen", "Bergen", "Cadiz", "Delft"]


def write_tables(place, n, rows):
    chance = random.Random(4)
    paths = [os.path.join(place, f"sales-{number:02}.csv") for number in range(n)]
    for path in paths:
        with open(path, "w") as file:
            file.write("shop,cents\n")
            file.writelines(f"{chance.choice(SHOPS)},{chance.randrange(100_000)}\n" for _ in range(rows))
    return paths


def _report(path):
    import report

    return report.report(path)


def run_ours(paths, n_jobs):
    clock = jobs.Clock(len(paths))
    lines = []
    with forkserver.Executor(n_jobs, preload=["report"]) as executor:
        futures = [executor.submit(_report, path) for path in paths]
        try:
            for future in concurrent.futures.as_completed(futures):
                lines.append(future.result())
                clock.count()
        finally:
            for future in futures:
                future.cancel()
    return jobs.Run(lines, clock.times, clock.seconds())


def show(place, n_jobs, size):
    n = size.reports
    imports = "pandas" if importlib.util.find_spec("pandas") else "a dozen modules of Python's own"
    screen.title(f"2. A Python tool with heavy imports: {n} reports, a process each")
    screen.say(f"report.py imports {imports}, and sums up a file of {size.rows:,} lines. "
               f"The ordinary way starts Python for each of {n} files.")
    paths = write_tables(place, n, size.rows)
    screen.show(f"xargs -P {n_jobs} -n 1 python3 report.py < files")
    theirs = jobs.run(["xargs", "-d", "\\n", "-P", str(n_jobs), "-n", "1", sys.executable, TOOL], paths)
    check(theirs.code == 0 and len(theirs.lines) == n, f"xargs exited with {theirs.code}: {theirs.errors}")
    screen.say(f"{n} reports took {seconds(theirs.seconds)}.")
    screen.show(f'forkserver.Executor({n_jobs}, preload=["report"])')
    ours = run_ours(paths, n_jobs)
    check(ours.lines == theirs.lines, f"these reports differ: {sorted({*ours.lines} ^ {*theirs.lines})}")
    screen.say(f"{n} reports took {seconds(ours.seconds)}, with the import, each in a fresh process. "
               "The reports are the same, both ways.")
    row = (f"{n} reports with heavy imports", seconds(theirs.seconds), seconds(ours.seconds),
           f"{theirs.seconds / ours.seconds:.0f} times")
    return row, {"reports: python3 report.py each": theirs.times, "reports: forkserver.Executor": ours.times}
