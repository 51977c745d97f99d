# SPDX-License-Identifier: MIT
"""`forkserver map` against xargs: the CPU time of all processes that take part, and map's own memory. For bench.py."""

import ctypes
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

from subject import result

PR_SET_CHILD_SUBREAPER = 36
MIB = 1024  # KiB
ITEMS_FAILED = 123  # as ballast's noop does

SOURCE = """
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) { printf("%d %s\\n", argc, argv[0]); return EXIT_SUCCESS; }
"""
DOCUMENT = "[" + ",".join(f'{{"id": {i}, "name": "entry {i}", "tags": ["a", "b"]}}' for i in range(5000)) + "]"

# name, what runs, items, turns, turns when quick
CPU_CASES = [
    ("map-true", ["true"], 2000, 11, 5),
    ("map-gcc", ["gcc", "-O1", "-c", "-o", "/dev/null", "unit.c", "-D"], 40, 7, 3),
    ("map-jq", ["jq", "-c", "map(select(.id % 7 == 0))", "document.json", "--arg", "x"], 40, 7, 3),
]


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def reap_all():
    """The server and its like are nobody's children but ours, and all have ended when the last one has."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def measure_cpu(command, items, directory):
    """Its output goes into a pipe, as where it matters."""
    before = cpu_of_children()
    text = "".join(f"i{i}\n" for i in range(items))
    subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, cwd=directory, check=True)
    reap_all()
    return (cpu_of_children() - before) * 1e3


def compare_cpu(forkserver, case, quick):
    name, program, items, full, few = case
    if not shutil.which(program[0]):
        return {"name": name, "met": None, "skipped": f"there is no {program[0]}"}
    ours, theirs = [forkserver, "map", "-j2", "--", *program], ["xargs", "-P2", "-n1", *program]
    times = [], []
    with tempfile.TemporaryDirectory() as directory:
        for path, text in ("unit.c", SOURCE), ("document.json", DOCUMENT):
            with open(os.path.join(directory, path), "w", encoding="utf-8") as file:
                file.write(text)
        for turn in range(1 + (few if quick else full)):
            for side, command in zip(times, (ours, theirs)):
                value = measure_cpu(command, items, directory)
                if turn > 0:
                    side.append(value)
    low, high = statistics.quantiles(times[0], n=4)[::2]
    return result(name, f"CPU time of map on {items} × {program[0]}", statistics.median(times[0]),
                  [("xargs -P2 -n1", statistics.median(times[1]))], "ms", 1.1,
                  note=f"user and system time of map, its server and all items; {len(times[0])} turns, "
                       f"quartiles {low:.0f} to {high:.0f} ms")


# ---- a library that is preloaded, against a process each ----

BENCH = os.path.dirname(os.path.abspath(__file__))
LLVM = "-l:libLLVM-14.so.1"
FUNCTION = "define i32 @f{0}(i32 %x) {{\n  %y = add i32 %x, {0}\n  %z = mul i32 %y, %x\n  ret i32 %z\n}}\n"


def compare_preloaded(forkserver, quick):
    """CPU time: that of other programs at the same time doesn't count."""
    name, source = "map-llvm", os.path.join(BENCH, "llvm.c")
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "unit.ll"), "w", encoding="ascii") as file:
            file.write("".join(FUNCTION.format(i) for i in range(50)))
        for options in ["-DPROGRAM", "-o", "parse"], ["-shared", "-fPIC", "-o", "parse.so"]:
            command = ["gcc", "-O2", *options, source, LLVM]
            if subprocess.run(command, cwd=directory, stderr=subprocess.DEVNULL).returncode:
                return {"name": name, "met": None, "skipped": "there is no libLLVM-14.so.1"}
        ours = [forkserver, "map", "-j2", "--preload", "./parse.so", "--call", "./parse.so:parse"]
        quick_exit = [*ours, "--quick-exit"]
        commands, times = (ours, ["xargs", "-P2", "-n1", "./parse"], quick_exit), ([], [], [])
        for turn in range(1 + (3 if quick else 7)):
            for side, command in zip(times, commands):
                value = measure_cpu(command, 200, directory)
                if turn > 0:
                    side.append(value)
    return result(name, "CPU time of 200 files read by LLVM, preloaded", statistics.median(times[0]),
                  [("a process each, by xargs -P2 -n1", statistics.median(times[1])),
                   ("ours with --quick-exit", statistics.median(times[2]))], "ms", 1 / 3)


# ---- memory ----


def watch_peak(pid, peaks):
    """VmHWM, as ru_maxrss begins with what this interpreter had."""
    try:
        while True:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                peaks += [int(line.split()[1]) for line in file if line.startswith("VmHWM:")]
            time.sleep(0.02)
    except OSError:
        return


def peak(forkserver, args, feed, pause):
    """KiB that map itself had at most. feed: what it reads; pause: seconds between what is read of its output."""
    input_end, feeding_end = os.pipe()
    process = subprocess.Popen([forkserver, "map", *args], stdin=input_end, stdout=subprocess.PIPE)
    os.close(input_end)
    if os.fork() == 0:
        process.stdout.close()
        for part in feed:
            while part:
                part = part[os.write(feeding_end, part):]
        os._exit(0)
    os.close(feeding_end)
    peaks = []
    watcher = threading.Thread(target=watch_peak, args=(process.pid, peaks))
    watcher.start()
    while os.read(process.stdout.fileno(), 1 << 20):
        time.sleep(pause)
    process.stdout.close()
    if process.wait() not in (0, ITEMS_FAILED):
        raise SystemExit(f"bench: map ended with {process.returncode}")
    watcher.join()
    reap_all()
    return peaks[-1]


def million(forkserver, module, quick):
    def of(count):
        numbers = (b"".join(b"%d\n" % i for i in range(at, min(at + 1000, count))) for at in range(0, count, 1000))
        return peak(forkserver, ["-k", "-j2", "--preload", module, "--call", f"{module}:noop"], numbers, 0)

    count = 100_000 if quick else 1_000_000
    return result("map-memory-items", f"map's memory at most, {count:,} items in order", of(count),
                  [("1,000 items", of(1000))], "KiB", 1.25)


def gigabyte(forkserver, quick):
    size = (256 if quick else 1024) * MIB * 1024
    peer = peak(forkserver, ["-j2", "head", "-c", str(16 << 20), "/dev/zero"], [b"-q\n"], 0.002)
    ours = peak(forkserver, ["-j2", "head", "-c", str(size), "/dev/zero"], [b"-q\n"], 0.002)
    return result("map-memory-output", f"map's memory at most, an item that prints {size >> 20} MiB to a slow reader",
                  ours, [("16 MiB", peer)], "KiB", 1.25, note="the rest waits in an unlinked file")


def measure_all(build, quick, names):
    os.environ["FORKSERVER_HELPERS"] = os.path.join(build, "src")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    forkserver, module = os.path.join(build, "src", "forkserver"), os.path.join(build, "bench", "ballast.so")
    for case in CPU_CASES:
        if not names or case[0] in names:
            yield compare_cpu(forkserver, case, quick)
    if not names or "map-llvm" in names:
        yield compare_preloaded(forkserver, quick)
    if not names or "map-memory-items" in names:
        yield million(forkserver, module, quick)
    if not names or "map-memory-output" in names:
        yield gigabyte(forkserver, quick)
