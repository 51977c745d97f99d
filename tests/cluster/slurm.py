#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
`forkserver map` as jobs of a real Slurm: an array of slices, nodes that die, time limits, and what a task costs.

usage: slurm.py [--short] [CASE…]     FORKSERVER_BUILD is the build (default: build/, in the repository)
"""

import argparse
import collections
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import nodes
from nodes import run, until
from slurm_nodes import Slurm, missing, submit, unfinished

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("FORKSERVER_BUILD", ROOT / "build"))
SCRIPT = ROOT / "examples/slurm/slices.sh"
JOBS = 2  # CPUs of a node
SLICES = 8
LIMIT = 420

# Each item says when it begins and when it has ended; a line is written at once.
WORK = 'echo "$1 $SLURMD_NODENAME" >>"$0/starts"; sleep "$2"; echo "$1" >>"$0/ends"'
# One that no SIGTERM ends, with a child in its process group that none ends either.
DEAF = 'trap "" TERM; sleep 1000 & echo $1 >>"$0/starts"; while :; do sleep 1000; done'


class Failure(Exception):
    pass


def check(fact, text):
    if not fact:
        raise Failure(text)


class Work:
    """A list of items in a directory of its own, and what was done of it."""

    def __init__(self, directory, count):
        self.directory = directory
        directory.mkdir()
        self.items = [f"item-{number}" for number in range(count)]
        (directory / "list").write_text("".join(f"{item}\n" for item in self.items))

    def submit(self, *options, work=WORK, seconds=0.05):
        return submit(f"--cpus-per-task={JOBS}", *options, SCRIPT, "list", "sh", "-c", work, self.directory, "{}",
                      seconds, cwd=self.directory)

    def lines(self, name):
        path = self.directory / name
        return path.read_text().splitlines() if path.exists() else []

    def twice(self):
        """Items that were begun more than once, with where that was."""
        starts = collections.defaultdict(list)
        for line in self.lines("starts"):
            item, _, node = line.partition(" ")
            starts[item].append(node)
        return {item: nodes for item, nodes in starts.items() if len(nodes) > 1}

    def check_all_done(self):
        lost = set(self.items) - set(self.lines("ends"))
        check(not lost, f"{len(lost)} items are lost, as {sorted(lost)[:3]}")

    def wait(self, job, seconds=200):
        until(lambda: not unfinished(job), seconds, f"the end of job {job}")


# ---- the cases: each takes the cluster, a directory and whether it is to be short, and returns what it found ----

def lost_node(cluster, directory, short):
    """A node dies at 30 %: nothing is lost, and what is begun twice is what ran there."""
    work = Work(directory, 300 if short else 2000)
    job = work.submit(f"--array=0-{SLICES - 1}")
    until(lambda: len(work.lines("ends")) > 0.3 * len(work.items), 100, "30 % of the items")
    cluster.kill_node("n2")
    if short:  # else it is found out after SlurmdTimeout
        run("scontrol", "update", "nodename=n2", "state=down", "reason=killed")
    work.wait(job)
    work.check_all_done()
    twice = work.twice()
    check(len(twice) <= JOBS, f"{len(twice)} items were begun twice: {twice}")
    check(all(nodes[0] == "n2" for nodes in twice.values()), f"other nodes' items were begun twice: {twice}")
    cluster.start_node("n2")
    cluster.wait_for_nodes()
    return f"{len(work.items)} items in {SLICES} slices, a node killed: 0 lost, {len(twice)} begun twice"


def cancel(_cluster, directory, short):
    """scancel leaves nothing after 5 s, be the items as deaf as they like."""
    work = Work(directory, 6)
    job = work.submit("--array=0-2", work=DEAF)
    until(lambda: len(work.lines("starts")) == 6, what="the items")
    check(len(ours(directory)) >= 12, "the items' processes are not found")
    begin = time.monotonic()
    run("scancel", job)
    until(lambda: not ours(directory), 60, "the end of all processes")
    seconds = time.monotonic() - begin
    check(short or seconds <= 5, f"scancel took {seconds:.1f} s")
    work.wait(job)
    return f"scancel of 3 elements with 6 deaf families: nothing is left after {seconds:.1f} s (KillWait 1 s)"


def ours(directory):
    """All processes, on any node, that have a path below the directory among their words or in their environment."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if bytes(directory) in (path / "cmdline").read_bytes() + (path / "environ").read_bytes():
                if int(path.name) != os.getpid():
                    found.append(path.name)
        except OSError:
            pass  # it has ended
    return found


def limit(_cluster, directory, short):
    """Before its time limit a job is told, lets its items end, and goes back into the queue; nothing is begun twice."""
    work = Work(directory, 200 if short else 1800)
    job = work.submit("--array=0-2", "--time=1", "--signal=B:USR1@30", seconds=0.05 if short else 0.2)
    if short:
        until(lambda: len(work.lines("ends")) > 20, what="some items")
        run("scancel", "--batch", "--signal=USR1", job)
    work.wait(job)
    work.check_all_done()
    check(not work.twice(), f"items were begun twice: {work.twice()}")
    restarts = max(int(n) for n in re.findall(r"Restarts=(\d+)", run("scontrol", "show", "job", job)))
    check(restarts > 0, "no job was put back into the queue")
    return f"{len(work.items)} items, --time=1: 0 lost, 0 begun twice, {restarts} times put back into the queue"


def cost(_cluster, _directory, short):
    """What a task costs, one after the other, in an allocation that is there: a step for each, or one step with map."""
    granted = subprocess.run(["salloc", "--no-shell", "-n1", f"-c{JOBS}"], capture_output=True, text=True, check=True)
    job = re.search(r"allocation (\d+)", granted.stderr)[1]
    steps, tasks, rounds = (5, 100, 2) if short else (20, 1000, 5)
    step = ["srun", f"--jobid={job}", "-n1", f"-c{JOBS}"]
    times = {"srun": [], "map": []}
    for _ in range(rounds):
        begin = time.monotonic()
        for _ in range(steps):
            run(*step, "true")
        times["srun"].append((time.monotonic() - begin) / steps * 1000)
        begin = time.monotonic()
        run(*step, "forkserver", "map", "-j1", "true", input="x\n" * tasks)
        times["map"].append((time.monotonic() - begin) / tasks * 1000)
    run("scancel", job)
    until(lambda: not unfinished(job))
    one, other = (statistics.median(times[name]) for name in ("srun", "map"))
    check(short or other <= one / 8, f"srun forkserver map: {other:.2f} ms a task, srun: {one:.1f} ms")
    return f"srun true: {one:.1f} ms a task; srun forkserver map -j1 true, {tasks} items: {other:.2f} ms a task"


CASES = [lost_node, cancel, limit, cost]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("cases", nargs="*", choices=[*(case.__name__ for case in CASES), []])
    options = parser.parse_args()
    why = "" if os.environ.get(nodes.INSIDE) else missing()
    if why:
        sys.exit(f"cluster: {why}")
    nodes.enter(LIMIT)
    os.environ["FORKSERVER_HELPERS"] = str(BUILD / "src")
    os.environ["PATH"] = f"{BUILD / 'src'}:{os.environ['PATH']}"
    failed = False
    with tempfile.TemporaryDirectory(prefix="forkserver-cluster-") as name:
        directory = pathlib.Path(name)
        begin = time.monotonic()
        with Slurm(directory) as cluster:
            print(f"slurm: three nodes are up after {time.monotonic() - begin:.1f} s", flush=True)
            for case in CASES:
                if options.cases and case.__name__ not in options.cases:
                    continue
                begin = time.monotonic()
                try:
                    text = case(cluster, directory / case.__name__, options.short)
                except (Failure, TimeoutError, RuntimeError) as error:
                    text, failed = f"FAILED: {error}", True
                print(f"{case.__name__}: {text} ({time.monotonic() - begin:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
