# SPDX-License-Identifier: MIT
"""What a test may leave behind, and how to find it."""

import ctypes
import gc
import os
import pathlib
import re
import signal
import time

import alone
import machine

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / os.environ.get("FORKSERVER_BUILD", "build")
PATIENCE = machine.patience(BUILD)  # how many times slower this machine is than a quick one
LIMIT = 5 * PATIENCE  # seconds that processes get to end by themselves
PR_SET_CHILD_SUBREAPER = 36


def become_reaper():
    """Every orphan below us becomes our child: so no process of a test escapes us."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def parents():
    """pid -> (parent, state) of all processes."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry)] = int(fields[1]), fields[0]
    return found


def descendants(pid):
    """pid -> state"""
    table, found, previous = parents(), {pid: None}, 0
    for _ in range(10):  # where /proc hides other users' processes, some parents are never seen
        if not any(parent and parent not in table for parent, _ in table.values()):
            break
        table = parents()  # a parent that ended while it was read: its children have another by now
    while len(found) != previous:
        previous = len(found)
        found.update({child: state for child, (parent, state) in table.items() if parent in found and child != pid})
    del found[pid]
    return found


def command_line(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return words or pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def wait_for_processes(limit):
    """Those that are still there after the limit: pid -> state."""
    end = time.monotonic() + limit
    while True:
        reap()
        left = descendants(os.getpid())
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.005)


def kill_all():
    """To the last: what is killed leaves orphans, which become ours."""
    end = time.monotonic() + LIMIT
    while (left := descendants(os.getpid())) and time.monotonic() < end:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        time.sleep(0.005)


def open_fds():
    """{(number, file)}; the listing's own fd is closed by then."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add((int(fd), os.readlink(f"/proc/self/fd/{fd}")))
        except OSError:
            pass
    return found


def shared_memory():
    """Names; where other programs' are to be seen too, and other runs', those that our own tests give: with our pid."""
    ours = re.compile(f"(fsrv|forkserver).*-{os.getpid()}\\b")
    names = set(os.listdir("/dev/shm"))
    return names if alone.is_alone() else {name for name in names if ours.search(name)}


class Watch:
    """From when it is made to find()."""

    def __init__(self, directory):
        self.directory, self.fds, self.shared_memory = directory, open_fds(), shared_memory()

    def find(self):
        """A list of what is there now and was not before; processes among it are killed."""
        left = [f"process {pid} ({state}) {command_line(pid)}" for pid, state in wait_for_processes(LIMIT).items()]
        kill_all()
        gc.collect()
        left += [f"fd {fd} ({name})" for fd, name in sorted(open_fds() - self.fds)]
        left += [f"/dev/shm/{name}" for name in sorted(shared_memory() - self.shared_memory)]
        left += [f"file {path}" for path in sorted(pathlib.Path(self.directory).rglob("*"))]
        return left
