#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
forkserver.dask on three nodes: tasks that die, nodes that die, links that are cut, and what a task costs.

usage: dask.py [--short] [CASE…]     PYTHONPATH has the package
"""

import argparse
import collections
import logging
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ON_NODES = HERE / "on_nodes"  # what tasks import
sys.path.remove(str(HERE))
sys.path += [str(HERE), str(ON_NODES)]  # at the end, as this file is no module `dask`
LIMIT = 900
CONFIGURATION = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
                 "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s", "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h",
                 "DASK_LOGGING__DISTRIBUTED": "critical", "PYTHONWARNINGS": "ignore"}
os.environ.update(CONFIGURATION)

import nodes  # noqa: E402
from nodes import run, until  # noqa: E402

import dask  # noqa: E402
import dask_jobs  # noqa: E402
import distributed  # noqa: E402
import forkserver.dask  # noqa: E402

THREADS = 2
logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
PORT = 8786


class Failure(Exception):
    pass


def check(fact, text):
    if not fact:
        raise Failure(text)


class Cluster(nodes.Nodes):
    """A scheduler, and on each node a nanny with a worker."""

    def start(self):
        super().start()
        self.launch("scheduler", sys.executable, "-m", "distributed.cli.dask_scheduler", "--host",
                    f"{nodes.NETWORK}.1", "--port", str(PORT), "--no-dashboard")
        self.address = f"tcp://{nodes.NETWORK}.1:{PORT}"
        self.client = until(self.connect)
        for name in ("n1", "n2", "n3"):
            self.start_worker(name)
        self.client.wait_for_workers(3, timeout=60)

    def connect(self):
        try:
            return distributed.Client(self.address, timeout=2)
        except OSError:
            return None

    def start_worker(self, name):
        self.start_node(name, f"env PYTHONPATH={os.environ['PYTHONPATH']}:{ON_NODES} {sys.executable} -m "
                        f"distributed.cli.dask_worker {self.address} --nthreads {THREADS} --no-dashboard --name {name} "
                        f"--host {nodes.address_of(name)} --local-directory {self.directory}/{name}")

    def worker(self, name):
        """The address of its worker."""
        workers = self.client.scheduler_info()["workers"]
        return next((address for address, worker in workers.items() if worker["name"] == name), None)

    def stop(self):
        if getattr(self, "client", None) is not None:
            self.client.close(timeout=2)
        super().stop()


def register(cluster, **options):
    cluster.client.register_worker_plugin(forkserver.dask.Processes(preload=["dask_jobs"], **options))


def submit_all(cluster, function, items, retries=0):
    with dask.annotate(executor="processes", retries=retries):
        return {cluster.client.submit(function, item, pure=False, retries=retries): item for item in items}


def starts_in(directory):
    """How often each item has started, and where."""
    counts, where = collections.Counter(), collections.Counter()
    for line in (directory / "starts").read_text().splitlines():
        item, node = line.split()
        counts[int(item)] += 1
        where[node] += 1
    return counts, where


def check_values(outcomes, items, bad):
    """outcomes: item -> its value or its exception."""
    check(len(outcomes) == len(items), f"{len(outcomes)} outcomes of {len(items)} items")
    wrong = [item for item, value in outcomes.items() if item not in bad and value != item * item]
    check(not wrong, f"{len(wrong)} innocent items failed, the first: {wrong[:1]} {outcomes[wrong[0]]!r}"
          if wrong else "")
    alive = [item for item in bad if not isinstance(outcomes[item], (forkserver.WorkerDied, TimeoutError))]
    check(not alive, f"of {alive[:3]} no death was told")


def gather(futures, on_progress=None):
    """Results as they come, each let go at once."""
    outcomes = {}
    for future in distributed.as_completed(list(futures)):
        item = futures.pop(future)
        outcomes[item] = future.exception() or future.result()
        future.release()
        if on_progress is not None:
            on_progress(len(outcomes))
    return outcomes


def bad_items(count):
    """One in a hundred crashes, exits or hangs."""
    return {item: ("crash", "exit", "hang")[i % 3] for i, item in enumerate(range(37, count, 100))}


def deaths(cluster, directory, short):
    """Tasks that die cost themselves alone."""
    count = 600 if short else 2000
    bad = bad_items(count)
    register(cluster, timeout=2)
    begin = time.monotonic()
    outcomes = gather(submit_all(cluster, dask_jobs.Work(directory, bad), range(count), retries=2))
    check_values(outcomes, range(count), bad)
    starts, _ = starts_in(directory)
    expected = count + 2 * len(bad)
    check(sum(starts.values()) == expected, f"{sum(starts.values())} starts, and not {expected}")
    return (f"{count} tasks, {len(bad)} of them bad, {expected} starts, no innocent one failed, "
            f"{time.monotonic() - begin:.0f} s")


def held_by(cluster, address):
    """The tasks that a worker runs or has, or whose results lie there."""
    return len(cluster.client.processing()[address]) + len(cluster.client.has_what()[address])


def lose(cluster, directory, short, act, undo):
    """At 30 % of the tasks act(name of a node) happens to one."""
    count = 300 if short else 2000
    held = []

    def on_progress(done):
        if not held and done >= count * 3 // 10:
            held.append(held_by(cluster, cluster.worker("n2")))
            act("n2")

    register(cluster, timeout=10)
    begin = time.monotonic()
    outcomes = gather(submit_all(cluster, dask_jobs.Work(directory, seconds=0.02), range(count), retries=2),
                      on_progress)
    took = time.monotonic() - begin
    undo("n2")
    check_values(outcomes, range(count), {})
    starts, _ = starts_in(directory)
    again = sum(starts.values()) - count
    # What it has begun between the look and the act counts, too.
    check(again <= held[0] + 2 * THREADS, f"{again} starts too many, where the node held {held[0]}")
    return f"{count} tasks, none lost or wrong, {again} started twice, {held[0]} were held there, {took:.0f} s"


def bring_back(cluster, name):
    cluster.start_worker(name)
    cluster.client.wait_for_workers(3, timeout=60)


def node_killed(cluster, directory, short):
    return lose(cluster, directory, short, cluster.kill_node, lambda name: bring_back(cluster, name))


def worker_killed(cluster, directory, short):
    """The nanny starts another."""
    def kill(name):
        pid = cluster.client.run(os.getpid, workers=[cluster.worker(name)]).popitem()[1]
        first = nodes.children(cluster.processes[name].pid)[0]
        run("nsenter", "--target", first, "--pid", "--mount", "kill", "-9", pid)

    return lose(cluster, directory, short, kill, lambda _: cluster.client.wait_for_workers(3, timeout=60))


def link_cut(cluster, directory, short):
    def cut(name):
        run("ip", "link", "set", name, "nomaster", "down")

    def mend(name):
        until(lambda: cluster.worker(name) is None, what="that the scheduler misses the node")
        cluster.kill_node(name)
        bring_back(cluster, name)

    return lose(cluster, directory, short, cut, mend)


def many(cluster, directory, short):
    """map_unordered(), with bad items, and a node that is killed at 30 %."""
    count = 1000 if short else 10000
    bad, killed, outcomes = bad_items(count), False, {}
    bad = {item: how for item, how in bad.items() if how != "hang"}
    register(cluster, timeout=10)
    begin = time.monotonic()
    for item, _, value in forkserver.dask.map_unordered(cluster.client, dask_jobs.Work(directory, bad), range(count),
                                                        seconds=1):
        check(item not in outcomes, f"item {item} came twice")
        outcomes[item] = value
        if not killed and len(outcomes) >= count * 3 // 10:
            killed = True
            cluster.kill_node("n2")
    took = time.monotonic() - begin
    bring_back(cluster, "n2")
    check_values(outcomes, range(count), bad)
    starts, _ = starts_in(directory)
    again = sum(starts.values()) - count - 2 * len(bad)
    return f"{count} items, {len(bad)} bad, none lost or wrong, {again} started again, {count / took:.0f} a second"


# ---- what a task costs ----


def add_stock(dask_worker):
    """Gives a worker the stock executor whose processes do one task: as it comes, and with all that it can have."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    multiprocessing.current_process()._config["daemon"] = False  # a nanny's child may have no children otherwise
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "dask_jobs", "distributed.worker"])
    dask_worker.executors["stock"] = ProcessPoolExecutor(THREADS, max_tasks_per_child=1)
    dask_worker.executors["stock-preload"] = ProcessPoolExecutor(THREADS, context, max_tasks_per_child=1)


def cost(cluster, directory, short):
    """A task that needs numpy, by turns; one node, as all share this machine's processors."""
    ways = [("processes", dask_jobs.count), ("threads", dask_jobs.count_in_program), ("stock", dask_jobs.count),
            ("stock-preload", dask_jobs.count)]
    turns, count = (2, 20) if short else (5, 60)
    cluster.client.register_worker_plugin(forkserver.dask.Processes(preload=["numpy", "dask_jobs"]))
    cluster.client.run(add_stock, workers=[cluster.worker("n1")])
    worker, times = [cluster.worker("n1")], collections.defaultdict(list)
    for _ in range(turns):
        for executor, function in ways:
            begin = time.monotonic()
            with dask.annotate(executor=executor):
                futures = cluster.client.map(function, range(count), pure=False, workers=worker)
            cluster.client.gather(futures)
            times[executor].append((time.monotonic() - begin) / count * 1000)
    ours, program, stock, preload = (statistics.median(times[executor]) for executor, _ in ways)
    return (f"{ours:.1f} ms a task; a program each {program:.1f} ({ours / program:.2f}, bar 0.33); one-task pool "
            f"{stock:.1f} ({ours / stock:.3f}, bar 0.125), with the fork server and its preload list {preload:.1f} "
            f"({ours / preload:.2f})")


def rate(cluster, directory, short):
    """Tasks a second against their length, and the scheduler's CPU time for each."""
    scheduler = cluster.processes["scheduler"].pid
    register(cluster)
    lines = []
    for seconds in (0, 0.001, 0.01, 0.1) if not short else (0, 0.01):
        count = max(60, min(600, int(20 / max(seconds, 0.01))))
        for name in ("task", "chunks"):
            cpu, begin = cpu_of(scheduler), time.monotonic()
            if name == "task":
                function = dask_jobs.Work(directory, seconds=seconds)
                gather(submit_all(cluster, function, range(count)))
            else:
                function = dask_jobs.Work(directory, seconds=seconds)
                list(forkserver.dask.map_unordered(cluster.client, function, range(count), seconds=1))
            took, used = time.monotonic() - begin, cpu_of(scheduler) - cpu
            lines.append(f"{seconds * 1000:g} ms {name}: {count / took:.0f}/s, scheduler "
                         f"{used / count * 1e6:.0f} us each")
    return "; ".join(lines)


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


CASES = [deaths, node_killed, worker_killed, link_cut, many, cost, rate]
SHORT = [deaths, many]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("cases", nargs="*", choices=[*(case.__name__ for case in CASES), []])
    options = parser.parse_args()
    nodes.enter(LIMIT)
    failed = False
    with tempfile.TemporaryDirectory(prefix="forkserver-cluster-") as name:
        directory = pathlib.Path(name)
        begin = time.monotonic()
        with Cluster(directory) as cluster:
            print(f"dask: three nodes are up after {time.monotonic() - begin:.1f} s", flush=True)
            for case in CASES:
                if case.__name__ not in options.cases and (options.cases or (options.short and case not in SHORT)):
                    continue
                begin = time.monotonic()
                (directory / case.__name__).mkdir()
                try:
                    text = case(cluster, directory / case.__name__, options.short)
                except Exception as error:
                    text, failed = f"FAILED: {error}", True
                print(f"{case.__name__}: {text} ({time.monotonic() - begin:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
