#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
What a spawn costs, against its peers, by turns in one run.

usage: bench.py BUILD [--quick] [--json FILE] [CASE…]     BUILD: a release build; with the Python package on PYTHONPATH

Medians of turns. Where a spawn takes less than a millisecond a turn is hundreds of them back to back: standbys cannot
hide what a fork costs then.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile

import command
import python
import sandbox
from subject import Subject, result, tell

GIB = 1024  # MiB


class Bench:
    def __init__(self, build, quick):
        self.build, self.quick, self.plots = build, quick, {}

    def loops(self, *options, preload=0, module="ballast"):
        module = os.path.join(self.build, "bench", f"{module}.so")
        return Subject([os.path.join(self.build, "bench", "loops"), module, *map(str, options)],
                       environment={"BALLAST_MIB": str(preload), "FORKSERVER_HELPERS": os.path.join(self.build, "src")})

    def by_turns(self, sides, turns, spawns):
        """sides: (subject, "CASE DEPTH"). One warm-up each, then turn by turn; the medians in µs."""
        lines = [(subject, f"{case} {spawns}") for subject, case in sides]
        for subject, line in lines:
            subject.turn(line, 0)
        lines[0][0].watch_zygote()
        for _ in range(turns):
            for subject, line in lines:
                subject.turn(line, spawns)
        medians = [subject.median for subject, _ in lines]
        for subject in {subject for subject, _ in lines}:
            subject.close()
        return medians

    def note(self, *subjects):
        first = subjects[0]
        low, high = first.quartiles
        cpu = ", ".join(f"{subject.cpu_each:.0f}" for subject in subjects)
        faults = ", ".join(f"{subject.faults_each:.0f}" for subject in subjects)
        zygote = ""
        if first.zygote:
            zygote = f"; of it the zygote's for its fork: {first.zygote_ns / first.spawns / 1e3:.0f} us"
        return (f"{first.spawns} spawns, quartiles of the turns {low:.0f} to {high:.0f}; "
                f"CPU time each, over all processes: {cpu} us (ours first){zygote}; page faults: {faults}")

    # ---- the cases ----

    def roundtrip(self):
        ours, peer, bare = self.loops(), self.loops(), self.loops()
        a, b, c = self.by_turns([(ours, "noop 1"), (peer, "fork 1"), (bare, "quit 1")], 20, 100 if self.quick else 250)
        return result("roundtrip", "no-op entry point: spawn, STARTED with pidfd, status", a,
                      [("fork+_exit+waitpid", b), ("ours, if the entry point calls _exit(2) itself", c)], "us", 1.25,
                      note=self.note(ours, peer, bare))

    def roundtrip_status(self):
        ours, peer = self.loops(), self.loops()
        a, b = self.by_turns([(ours, "run:noop 1"), (peer, "fork 1")], 20, 100 if self.quick else 250)
        return result("roundtrip-status", "the same by fsrv_run(), which is not woken for STARTED", a,
                      [("fork+_exit+waitpid", b)], "us",
                      1.0, note=self.note(ours, peer))

    def throughput(self):
        names = ("noop", "many:noop", "fork")
        sides = [(name, depth) for depth in (1, 2, 4, 8) for name in names]
        times = self.by_turns([(self.loops(), f"{name} {depth}") for name, depth in sides], 5 if self.quick else 10,
                              200 if self.quick else 500)
        best = {name: 1e6 / min(time for time, side in zip(times, sides) if side[0] == name) for name in names}
        ours = max(best["noop"], best["many:noop"])
        ratio = ours / best["fork"]
        return result("throughput", "spawns a second, the best of 1, 2, 4 and 8 in flight", ours,
                      [("fork loop, likewise", best["fork"])], "/s", None,
                      note=f"one by one {best['noop']:,.0f}, by fsrv_spawn_many() {best['many:noop']:,.0f}") | {
                          "ratio": round(ratio, 3), "bar": 0.55, "met": ratio >= 0.55, "higher_is_better": True}

    def call(self):
        sides = [self.loops(module="gives") for _ in range(3)]
        a, b, c = self.by_turns(list(zip(sides, ("call:same 1", "noop 1", "run:noop 1"))), 20,
                                100 if self.quick else 250)
        return result("call", "fsrv_call(): 1 KiB in, 1 KiB out", a,
                      [("ours: no-op entry point, STARTED, status", b), ("ours: the same by fsrv_run()", c)], "us",
                      1.15, note=self.note(*sides))

    def call_large(self):
        ours, peer = self.loops(module="gives"), self.loops(module="gives")
        a, b = self.by_turns([(ours, "call:large 1"), (peer, "pipe:piped 1")], 10 if self.quick else 20, 3)
        return result("call-64m", "fsrv_call() of a function that gives 64 MiB, which are read", a,
                      [("ours: the same through a pipe", b)], "us", 3, note=self.note(ours, peer),
                      higher_is_better=True)

    def afl(self):
        runtime = "/usr/lib/afl/afl-compiler-rt.o"
        if not os.path.exists(runtime):
            return {"name": "afl", "met": None, "skipped": "AFL++ isn't installed (Debian package afl++)"}
        with tempfile.TemporaryDirectory(prefix="forkserver-bench-") as directory:
            source, target = os.path.join(directory, "target.c"), os.path.join(directory, "target")
            with open(source, "w") as file:
                file.write("int main(void) { return 7; }\n")
            subprocess.run(["gcc", "-O2", "-o", target, source, runtime, "-ldl", "-lrt"], check=True)
            ours, peer = self.loops(), self.loops()
            a, b = self.by_turns([(ours, "noop 1"), (peer, f"{target} 1")], 20, 100 if self.quick else 250)
        return result("afl", "the same no-op, one at a time", a, [("AFL++'s fork server, over its own pipes", b)], "us",
                      1.0,
                      note=self.note(ours, peer), higher_is_better=True)

    def preload(self, mib):
        name = f"preload-{mib // GIB}g"
        if mib > 4 * GIB and available() < 2.5 * mib:
            return {"name": name, "met": None, "skipped": f"{available()} MiB of memory are available"}
        with_it, without, plain = self.loops(preload=mib), self.loops(), self.loops("ballast", mib)
        turns, spawns = (6, 50) if self.quick else (10, 500)
        lines = [(with_it, "noop 1", spawns), (without, "noop 1", spawns), (plain, "fork 1", 5)]
        if mib <= 4 * GIB:  # three of 8 GiB are too many
            lines.append((self.loops("huge", mib), "fork 1", 5))
        for subject, case, n in lines:
            subject.turn(f"{case} {n}", 0)
        with_it.watch_zygote()
        for _ in range(turns):
            for subject, case, n in lines:
                subject.turn(f"{case} {n}", n)
        note = self.note(with_it, without)
        values = [subject.median for subject, _, _ in lines]
        for subject, _, _ in lines:
            subject.close()
        names = ("ours with nothing", "fork of as large a process", "with huge pages")
        return result(name, f"{mib // GIB} GiB preloaded, the child touches nothing", values[0],
                      list(zip(names, values[1:])), "us", 1.3,
                      note=note)

    def touched(self, name, what, ours, peer, bar):
        one, other, huge = self.loops(preload=GIB), self.loops("ballast", GIB), self.loops("huge", GIB)
        a, b, c = self.by_turns([(one, f"{ours} 1"), (other, f"{peer} 1"), (huge, f"{peer} 1")],
                                5 if self.quick else 20, 5)
        return result(name, f"1 GiB preloaded, the child {what}", a,
                      [("fork of as large a process", b), ("with huge pages", c)], "us",
                      bar, note=self.note(one, other), higher_is_better=True)

    def client(self):
        size = 4 * GIB if not self.quick else GIB
        large, small = self.loops("ballast", size, "threads", 8), self.loops()
        cases = {"ours": (large, "run:exec 1", 50), "ours from a small one": (small, "run:exec 1", 50),
                 "fork_exec": (large, "fork_exec 1", 5),
                 "posix_spawn": (large, "posix_spawn 1", 50)}
        found = {name: [] for name in cases}
        for turn in range(4 if self.quick else 10):
            for name, (subject, case, n) in cases.items():
                value = float(subject.ask(f"{case} {n}")[0])
                if turn:
                    found[name].append(value)
        large.close()
        small.close()
        middle = {name: sorted(values)[len(values) // 2] for name, values in found.items()}
        what = f"a program, from a client of {size // GIB} GiB with 8 threads"
        return [result("client", what, middle["ours"], [("from a small client", middle["ours from a small one"])], "us",
                       1.1),
                result("client-fork-exec", what, middle["ours"], [("fork+exec there", middle["fork_exec"])], "us", 30,
                       higher_is_better=True),
                result("client-posix-spawn", what, middle["ours"], [("posix_spawn there", middle["posix_spawn"])], "us",
                       1.3)]

    def live(self):
        n = min(2000 if self.quick else 10000, most_workers())
        full, empty = self.loops(), self.loops()
        full.ask(f"idle {n}")
        a, b = self.by_turns([(full, "noop 1"), (empty, "noop 1")], 10 if self.quick else 20, 50 if self.quick else 250)
        return result("live", f"with {n:,} idle workers", a, [("ours with none", b)], "us", 1.3,
                      note=self.note(full, empty))

    def memory(self):
        cases = []
        for preload in (0, 256):
            subject = self.loops(preload=preload)
            subject.ask("noop 1 10")
            subject.ask("idle 1")
            server, zygote, _ = map(int, subject.ask("pids"))
            for role, what in (("standby", "a standby"), ("worker", "a worker that sleeps")):
                pids = [pid for pid in children(server) if pid != zygote
                        and title(pid).startswith(f"forkserver: {role}")]
                private, pss = smaps(pids[0])
                case = result(f"memory-{role}-{preload}", f"private dirty memory of {what}, {preload} MiB preloaded",
                              private, [], "KiB", None, note=f"proportional set size {pss} KiB")
                cases.append(case | {"bar": 256, "met": private <= 256})
            subject.close()
        return cases

    def standbys(self):
        """Figures for the choice of the default."""
        lines = ("noop 1 250", "noop 8 256", "noop 64 64")
        subjects = {k: self.loops("standbys", k) for k in (1, 2, 4, 8)}
        times = {(k, line): [] for k in subjects for line in lines}
        for turn in range(4 if self.quick else 12):
            for line in lines:
                for k, subject in subjects.items():
                    time = float(subject.ask(line)[0])
                    if turn:
                        times[k, line].append(time)
        for subject in subjects.values():
            subject.close()
        steady, many, burst = ({k: statistics.median(times[k, line]) for k in subjects} for line in lines)
        return [result(f"standbys-{k}", f"{k} at a time ready: one spawn after the other", steady[k], [], "us", None,
                       note=f"eight in flight {many[k]:.0f} us each, a burst of 64 {burst[k]:.0f} us each")
                for k in subjects]

    def series(self):
        """For the plots."""
        sizes = [0, 1, 4, 16, 64, 256, 1024] + ([] if self.quick else [4096])
        lines = {"frozen": ("memory", 0), "collapsed": ("memory", 2), "as it is": ("memory", 3)}
        self.plots["preload"] = {name: [] for name in [*lines, "fork"]}
        for mib in sizes:
            for name, options in lines.items():
                self.plots["preload"][name].append([mib, self.one(self.loops(*options, preload=mib), "noop 1")])
            self.plots["preload"]["fork"].append([mib, self.one(self.loops("ballast", mib), "fork 1")])
        self.plots["live"] = []
        for n in (0, 10, 100, 1000) if self.quick else (0, 10, 100, 1000, min(10000, most_workers())):
            subject = self.loops()
            subject.ask(f"idle {n}")
            self.plots["live"].append([n, self.one(subject, "noop 1")])

    @staticmethod
    def one(subject, case):
        subject.ask(f"{case} 10")
        values = sorted(float(subject.ask(f"{case} 20")[0]) for _ in range(5))
        subject.close()
        return round(values[2], 1)

    def cases(self):
        yield "roundtrip", self.roundtrip
        yield "roundtrip-status", self.roundtrip_status
        yield "call", self.call
        yield "call-64m", self.call_large
        yield "throughput", self.throughput
        yield "afl", self.afl
        yield "preload-1g", lambda: self.preload(GIB)
        if not self.quick:
            yield "preload-8g", lambda: self.preload(8 * GIB)
        yield "preload-write", lambda: self.touched("preload-write", "writes to 1 % of it", "write_some", "fork_write",
                                                    3)
        yield "preload-read", lambda: self.touched("preload-read", "reads all of it", "read_all", "fork_read", 2)
        yield "client", self.client
        yield "live", self.live
        yield "sandbox", lambda: sandbox.measure_all(self)
        yield "memory", self.memory
        yield "standbys", self.standbys


def most_workers():
    """The server has two fds for each; raising the hard limit takes a privilege that root in a container may not
    have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (hard - 500) // 2


def available():
    with open("/proc/meminfo") as file:
        return int(next(line for line in file if line.startswith("MemAvailable")).split()[1]) // 1024


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return list(map(int, file.read().split()))


def title(pid):
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()


def smaps(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        values = {line.split(":")[0]: line.split()[1] for line in file if ":" in line}
    return int(values["Private_Dirty"]), int(values["Pss"])


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} CPUs {model}, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser(usage=__doc__.strip().splitlines()[2].removeprefix("usage: "))
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_intermixed_args()
    bench, results = Bench(os.path.abspath(options.build), options.quick), []
    for name, measure in bench.cases():
        if not options.cases or name in options.cases:
            found = measure()
            for case in found if isinstance(found, list) else [found]:
                results.append(case)
                tell(case)
    others = itertools.chain(python.measure_all(options.quick, options.cases),
                             command.measure_all(bench.build, options.quick, options.cases))
    for case in others:
        results.append(case)
        tell(case)
    if not options.cases:
        bench.series()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "date": datetime.date.today().isoformat(), "quick": options.quick,
                       "cases": results,
                       "plots": bench.plots}, file, indent=1)
    missed = [case["name"] for case in results if case["met"] is False]
    print(f"{len(results)} cases, {len(missed)} below their bar{': ' if missed else ''}{', '.join(missed)}")


if __name__ == "__main__":
    main()
