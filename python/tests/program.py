# SPDX-License-Identifier: MIT
"""The base of the tests that run whole programs: nothing of a program may be left when it has ended."""

import ctypes
import functools
import os
import signal
import subprocess
import sys

import test_forkserver

LIMIT = 60 * test_forkserver.PATIENCE  # seconds for a program
LINGER = 20 * test_forkserver.PATIENCE  # seconds in which the processes of a program that has ended have to end
PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Every orphan below us becomes our child: no process of a program escapes us."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


become_subreaper()


class _TookTooLong(Exception):
    pass


def _children():
    """pid -> command line"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                with open(f"/proc/{pid}/cmdline") as file:
                    found[int(pid)] = file.read().replace("\0", " ")
        except OSError:
            pass
    return found


def _reap(limit):
    """Waits until we have no child any more; whether that came within `limit` seconds."""
    def ring(*_):
        raise _TookTooLong

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, limit)
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return True
    except _TookTooLong:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def end_the_rest(limit=LINGER):
    """What was left of a program after `limit` seconds, killed now: command lines."""
    left = []
    while not _reap(limit):
        found = _children()
        # A resource tracker is to end last, and by itself: it unlinks what the others left.
        killed = {pid: words for pid, words in found.items() if "resource_tracker" not in words} or found
        left += killed.values()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)  # our own child, not waited for: never another process
        limit = 1
    return left


def needs(*modules):
    """Skips a test where a module isn't there."""
    def wrap(test):
        @functools.wraps(test)
        def wrapped(self):
            for name in modules:
                try:
                    __import__(name)
                except ImportError:
                    self.skipTest(f"{sys.executable} has no {name}")
            test(self)
        return wrapped
    return wrap


class Program(test_forkserver.Script):
    """A user's program, which is told of its own temporary directory. After it no process, no file there, and nothing
    in shared memory may be left."""

    def setUp(self):
        super().setUp()
        self.scratch = os.path.join(self.directory.name, "tmp")
        os.mkdir(self.scratch)
        self.shared = set(os.listdir("/dev/shm"))

    def environment(self, **changes):
        """PYTHONUNBUFFERED and the like would change what we compare."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("PYTHON") or name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
        kept.update({"TMPDIR": self.scratch, **changes})
        return {name: value for name, value in kept.items() if value is not None}

    def start(self, *words, env=None, interpreter=sys.executable, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([interpreter, *words], text=True, cwd=self.directory.name,
                                env=env or self.environment(),
                                start_new_session=True, **options)

    def finish(self, process, *, code=0, limit=LIMIT, input=None):
        """What it wrote to standard output, once it and all that it started are gone."""
        try:
            output, self.errors = process.communicate(input, timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            end_the_rest(1)
            output, self.errors = process.communicate()
            self.fail(f"not ended after {limit} s: {output}{self.errors}")
        left = end_the_rest()
        self.assertEqual(process.returncode, code, f"{output}{self.errors}")
        self.check_nothing_is_left(left)
        return output

    def check_nothing_is_left(self, processes):
        self.assertEqual(processes, [], "processes that outlived the program")
        self.assertEqual(os.listdir(self.scratch), [], "left in the temporary directory")
        self.assertEqual(set(os.listdir("/dev/shm")) - self.shared, set(), "left in shared memory")

    def execute(self, *words, code=0, limit=LIMIT, input=None, **options):
        if input is not None:
            options["stdin"] = subprocess.PIPE
        return self.finish(self.start(*words, **options), code=code, limit=limit, input=input)

    def run_silent(self, text, *args, **options):
        """As run_script(), and nothing on standard error: no warning of the resource tracker's, no traceback."""
        output = self.run_script(text, *args, **options)
        self.assertEqual(self.errors, "")
        return output


# The base is for its methods, its tests run in their own file.
for _name in dir(test_forkserver.Script):
    if _name.startswith("test_"):
        setattr(Program, _name, None)
