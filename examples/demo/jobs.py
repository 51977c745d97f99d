# SPDX-License-Identifier: MIT
"""Runs of many jobs, and the time at which each had ended."""

import os
import signal
import subprocess
import tempfile
import time

import screen


class Wrong(Exception):
    """Something came out that must not."""


def check(condition, text):
    if not condition:
        raise Wrong(text)


class Run:
    """What a run gave. lines: of its output, sorted. times: when the first, the second, … job had ended, in seconds
    from the start. seconds: all of it. errors: what it said on standard error. code: its exit code."""

    def __init__(self, lines, times, seconds, errors="", code=0):
        self.lines, self.times, self.seconds, self.errors, self.code = sorted(lines), times, seconds, errors, code


class Clock:
    """Counts the jobs that end, and shows how many."""

    def __init__(self, n):
        self._n, self._begin, self.times = n, time.monotonic(), []

    def seconds(self):
        return time.monotonic() - self._begin

    def count(self):
        self.times.append(self.seconds())
        screen.progress(f"{len(self.times)} of {self._n}, {self.times[-1]:.1f} s", len(self.times) == self._n)


def run(command, items, environment=()):
    """Runs a command that reads items, one a line, and prints a line for each that has ended."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
        source.write("".join(f"{item}\n" for item in items).encode())
        source.seek(0)
        clock = Clock(len(items))
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=errors, text=True,
                                   start_new_session=True, env={**os.environ, **dict(environment)})
        try:
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                clock.count()
            code = process.wait()
        finally:
            end(process)
        errors.seek(0)
        return Run(lines, clock.times, clock.seconds(), errors.read().decode(errors="replace"), code)


def end(process):
    """Ends what still runs after ^C: the command, and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()
