# SPDX-License-Identifier: MIT
"""A program that is measured: told line by line what to do, so that several can be measured by turns; and the CPU time
it costs."""

import os
import statistics
import subprocess
import sys

TICKS = os.sysconf("SC_CLK_TCK")


class Subject:
    def __init__(self, command, first=(), environment=()):
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        start_new_session=True,
                                        env={**os.environ, **dict(environment)})
        for line in first:
            print(line, file=self.process.stdin)
        self.values, self.cpu, self.faults, self.spawns = [], 0.0, 0, 0
        self.zygote, self.zygote_ns = None, 0

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().split()
        if not answer:
            sys.exit(f"bench: {line} failed")
        return answer

    def turn(self, line, spawns):
        """One turn; without spawns it is for warming up, and isn't counted."""
        (cpu, faults), zygote = self.use_of_all(), self.zygote_cpu()
        values = [float(word) for word in self.ask(line)]
        if spawns:
            self.values += values
            after = self.use_of_all()
            self.cpu += after[0] - cpu
            self.faults += after[1] - faults
            self.zygote_ns += self.zygote_cpu() - zygote
            self.spawns += spawns

    def watch_zygote(self):
        self.zygote = int(self.ask("pids")[1])

    def zygote_cpu(self):
        """ns on a CPU"""
        if self.zygote is None:
            return 0
        with open(f"/proc/{self.zygote}/schedstat") as file:
            return int(file.read().split()[0])

    def use_of_all(self):
        """CPU time in seconds, and page faults: of the session's living processes, and of the ended ones that these
        have waited for."""
        ticks = faults = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                ticks += sum(map(int, fields[11:15]))
                faults += sum(map(int, fields[7:11]))
        return ticks / TICKS, faults

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def quartiles(self):
        return statistics.quantiles(self.values, n=4)[::2] if len(self.values) > 1 else self.values * 2

    @property
    def cpu_each(self):
        """µs"""
        return self.cpu / self.spawns * 1e6 if self.spawns else 0.0

    @property
    def faults_each(self):
        return self.faults / self.spawns if self.spawns else 0.0

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


def result(name, what, ours, peers, unit, bar, *, higher_is_better=False, note=""):
    """peers: [(name, value)]; the first is what the bar is against."""
    peer = peers[0][1] if peers else None
    ratio = None if not peer else peer / ours if higher_is_better else ours / peer
    met = None if ratio is None or bar is None else (ratio >= bar if higher_is_better else ratio <= bar)
    return {"name": name, "what": what, "ours": round(ours, 1), "peer": peer and round(peer, 1),
            "peer_name": peers[0][0] if peers else None, "more_peers": [[n, round(value, 1)] for n, value in peers[1:]],
            "unit": unit, "ratio": ratio and round(ratio, 3), "bar": bar, "met": met,
            "higher_is_better": higher_is_better, "note": note}


def tell(case):
    if case.get("skipped"):
        print(f"{case['name']}: skipped: {case['skipped']}", flush=True)
        return
    all_peers = [[case["peer_name"], case["peer"]], *case["more_peers"]]
    peers = "; ".join(f"{name} {value:g}" for name, value in all_peers if value)
    sign = "at least" if case["higher_is_better"] else "at most"
    bar = "" if case["bar"] is None else f"; bar {sign} {case['bar']:g}: {'met' if case['met'] else 'NOT MET'}"
    ratio = "" if case["ratio"] is None else f"{case['ratio']:.2f} x "
    figures = f"ours {case['ours']:g} {case['unit']}{'; ' if peers else ''}{peers}"
    print(f"{case['name']}: {ratio}({figures}){bar}; {case['note']}", flush=True)
