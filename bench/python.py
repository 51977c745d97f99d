#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
The Python package against the stock fork server and fork, by turns in one run.

usage: python.py [--quick] [--add-to FILE] [CASE…]     with the package on PYTHONPATH; FILE: the other cases' JSON
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
METHODS = {"ours": ("default", ["-m", "forkserver"]), "stock": ("forkserver", []), "fork": ("fork", [])}

# name, what, function, program, spawns in all (quick: in all), spawns a turn, processes in each, unit, bar against the stock
CASES = [
    ("python-start-join", "Process(target=noop), start and join", "start_join", "plain.py", 600, 300, 25, 1, "us", 8),
    ("python-8-in-flight", "the same, eight at once, time each", "in_flight", "plain.py", 600, 300, 50, 1, "us", 8),
    ("python-pandas", "start and join, pandas and numpy preloaded", "start_join", "pandas_loaded.py", 400, 300, 20, 1, "us", 5),
    ("python-pool", "Pool(4), a map of 100 items, closed", "pool", "plain.py", 300, 40, 10, 4, "us", 3),
    ("python-memory", "private dirty memory of a child, pandas preloaded", "memory", "pandas_loaded.py", 40, 20, 5, 1, "KiB", 2),
]


class Subject:
    """One program under one method, for a whole case."""

    def __init__(self, program, method):
        name, words = METHODS[method]
        self.process = subprocess.Popen([sys.executable, *words, os.path.join(HERE, "python", program)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        print(name, file=self.process.stdin)
        self.values, self.cpu, self.spawns = [], 0.0, 0

    def turn(self, function, n, spawns):
        before = self.cpu_of_all()
        print(function, n, file=self.process.stdin, flush=True)
        values = [float(word) for word in self.process.stdout.readline().split()]
        if not values:
            sys.exit(f"bench: {function} failed")
        if spawns:
            self.values += values
            self.cpu += self.cpu_of_all() - before
            self.spawns += spawns

    def cpu_of_all(self):
        """Seconds: of the session's living processes, and the ended ones that they have waited for."""
        ticks = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


def measure(case, quick):
    name, what, function, program, full, few, turn, processes, unit, bar = case
    subjects = {method: Subject(program, method) for method in METHODS}
    for subject in subjects.values():
        subject.turn(function, 2, 0)
    for _ in range((few if quick else full) // turn):
        for subject in subjects.values():
            subject.turn(function, turn, turn * processes)
    for subject in subjects.values():
        subject.close()
    middle = {method: statistics.median(subject.values) for method, subject in subjects.items()}
    cpu = {method: subject.cpu / subject.spawns * 1e6 for method, subject in subjects.items()}
    quarters = statistics.quantiles(subjects["ours"].values, n=4)
    ratio = middle["stock"] / middle["ours"]
    return {
        "name": name, "what": what, "ours": middle["ours"], "peer": middle["stock"],
        "peer_name": f"stock fork server, Python {sys.version_info[0]}.{sys.version_info[1]}", "second_peer": middle["fork"],
        "second_peer_name": "fork", "unit": unit, "ratio": round(ratio, 2), "bar": bar, "higher_is_better": True,
        "met": ratio >= bar, "spread": [quarters[0], quarters[2]], "cpu": {method: round(x) for method, x in cpu.items()},
        "note": f"{subjects['ours'].spawns} processes; CPU time each, over all processes: ours {cpu['ours']:.0f} us, "
                f"stock {cpu['stock']:.0f}, fork {cpu['fork']:.0f}",
    }


def main():
    parser = argparse.ArgumentParser(usage=__doc__.strip().splitlines()[2].removeprefix("usage: "))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--add-to", metavar="FILE")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    results = []
    for case in CASES:
        if options.cases and case[0] not in options.cases:
            continue
        result = measure(case, options.quick)
        results.append(result)
        print(f"{result['name']}: {result['ratio']:.2f} x (ours {result['ours']:.0f} {result['unit']}, quartiles "
              f"{result['spread'][0]:.0f} to {result['spread'][1]:.0f}; stock {result['peer']:.0f}, "
              f"fork {result['second_peer']:.0f}); bar {result['bar']} x; {result['note']}", flush=True)
    if options.add_to:
        with open(options.add_to, encoding="utf-8") as file:
            data = json.load(file)
        data["cases"] += results
        with open(options.add_to, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)


if __name__ == "__main__":
    main()
