# SPDX-License-Identifier: MIT
"""What is mended really is broken without us: the same programs on the stock fork server of CPython 3.11, where each
has to fail, and as expected.

Not here, because the stock server of 3.11 is right as well: `random` (seeded anew by the fork) and the missing main
guard."""

import re
import sys
import textwrap
import unittest

import test_forkserver
from program import Program, end_the_rest, needs

LIMIT = 20 * test_forkserver.PATIENCE  # seconds for a program on the stock server; one that takes longer hangs

START = 'if __name__ == "__main__": import multiprocessing; multiprocessing.set_start_method("forkserver")\n'

# What a program asks of the package.
STAND_IN = """
from multiprocessing import forkserver

def stats():
    return {"server_pid": forkserver._forkserver._forkserver_pid}
"""

# Tests of test_forkserver.py: what is seen of the stock server's fault; and after how many runs a race has shown.
TESTS = {
    "test_main_is_preloaded_once": (r"'5\\n' != '1\\n'", 1),
    "test_children_use_the_server": (r"\b4 0\b", 1),
    "test_what_the_child_sees_is_of_now": (r"None 1 there 0o22", 1),
    "test_output_of_now": (r"'' != 'second\\n'", 1),
    "test_a_failing_preload_is_told_of": (r"No module named 'no_such_module'\" not found in ''", 1),
    "test_exit_codes_are_true": (r"\(-?\d+, 255\)", 10),
    "test_threads_that_join_one_process": (r"\b255\b", 10),
    "test_a_child_outlives_the_server": (r"False 255", 1),
    "test_large_pickles_and_many_fds": (r"ValueError: too many fds", 1),
    "test_buffers_are_not_written_twice": (r"preloaded preloaded", 1),
}

# name: program, what it writes with us, what is seen on the stock server.
PROGRAMS = {
    "start() doesn't wait for the child to read": ("""
        import multiprocessing, os, sys
        def wait():
            with open("gate") as file: return file.read()
        class Gate:
            def __reduce__(self): return wait, ()
        def child(word, data): sys.exit(len(data) >> 20)
        if __name__ == "__main__":
            os.mkfifo("gate")
            process = multiprocessing.Process(target=child, args=(Gate(), bytes(10 << 20)))
            process.start()
            with open("gate", "w") as file: file.write("go")
            process.join()
            print(process.exitcode)
    """, "10\n", r"not ended after"),
    "more than 249 fds": ("""
        import multiprocessing, os, sys
        from multiprocessing import reduction
        class Fds:
            def __init__(self, fds): self.fds = fds
            def __reduce__(self): return list, ([reduction.DupFd(fd) for fd in self.fds],)
        def child(fds): sys.exit(len({fd.detach() for fd in fds}))
        if __name__ == "__main__":
            null = os.open(os.devnull, os.O_RDONLY)
            process = multiprocessing.Process(target=child, args=(Fds([null] * 250),))
            process.start(); process.join()
            print(process.exitcode)
    """, "250\n", r"OSError: \[Errno 22\]"),
    "the module path comes before preloading": ("""
        import multiprocessing, os, sys
        def child(): print("loaded" if "there" in sys.modules else "not loaded")
        if __name__ == "__main__":
            os.mkdir("modules")
            with open("modules/there.py", "w"): pass
            sys.path.append(os.path.abspath("modules"))
            multiprocessing.set_forkserver_preload(["there"])
            process = multiprocessing.Process(target=child)
            process.start(); process.join()
    """, "loaded\n", r"not loaded"),
    "the arguments come before preloading": ("""
        import multiprocessing, os, sys
        def child():
            import early
            print(early.pid == os.getpid(), early.argv)
        if __name__ == "__main__":
            with open("early.py", "w") as file: file.write("import os, sys; pid, argv = os.getpid(), sys.argv[1:]")
            sys.argv.append("x")
            multiprocessing.set_forkserver_preload(["early"])
            process = multiprocessing.Process(target=child)
            process.start(); process.join()
    """, "False ['x']\n", r"False \[\]"),
    "what is preloaded is never garbage": ("""
        import gc, multiprocessing
        def child(): print(gc.get_freeze_count() > 1000)
        if __name__ == "__main__":
            process = multiprocessing.Process(target=child)
            process.start(); process.join()
    """, "True\n", r"False"),
    "a child is alive without its server": ("""
        import multiprocessing, os, signal
        def child(event): event.wait(30)
        if __name__ == "__main__":
            import forkserver, warnings
            warnings.simplefilter("ignore")
            event = multiprocessing.Event()
            process = multiprocessing.Process(target=child, args=(event,))
            process.start()
            os.kill(forkserver.stats()["server_pid"], signal.SIGKILL)
            process.join(0.5)
            print(process.is_alive(), process.exitcode)
            event.set()
            process.join()
    """, "True None\n", r"False 255"),
    "numpy's siblings draw other numbers": ("""
        import multiprocessing
        def child(queue):
            import numpy
            queue.put(numpy.random.random())
        if __name__ == "__main__":
            multiprocessing.set_forkserver_preload(["numpy.random"])
            queue = multiprocessing.Queue()
            processes = [multiprocessing.Process(target=child, args=(queue,)) for _ in range(6)]
            for process in processes: process.start()
            print(len({queue.get(timeout=30) for _ in processes}))
            for process in processes: process.join()
    """, "6\n", r"'1\\n' != '6\\n'"),
}


class OnStock(Program):
    """A test of programs that run on CPython's fork server."""

    maxDiff = None

    def setUp(self):
        super().setUp()
        self.write("forkserver.py", STAND_IN)

    def environment(self, **changes):
        return super().environment(PYTHONPATH=None, **changes)

    def run_script(self, text, *args, **options):
        return super().run_script(START + textwrap.dedent(text), *args, under=False, limit=LIMIT, **options)

    def check_nothing_is_left(self, processes):
        pass


@unittest.skipIf(sys.version_info[:2] != (3, 11), "what is asserted is what 3.11 does")
class Stock(Program):
    def check_broken(self, test, pattern, runs=1):
        """`test`, a test case's function, fails in one of so many runs on the stock server, with the pattern in what it
        says."""
        for _ in range(runs):
            subject = OnStock()
            subject.setUp()
            try:
                test(subject)
            except AssertionError as error:
                self.assertRegex(str(error), pattern)
                return
            finally:
                end_the_rest()
                subject.doCleanups()
        self.fail("the stock server is right")

    def check_program(self, name):
        text, output, pattern = PROGRAMS[name]

        def test(subject):
            subject.assertEqual(subject.run_script(text), output)

        test(self)
        self.check_broken(test, pattern)


def _add(name, function):
    function.__name__ = name
    setattr(Stock, name, function)


for _name, (_pattern, _runs) in TESTS.items():
    _add(_name, lambda self, test=getattr(test_forkserver.Script, _name), pattern=_pattern, runs=_runs:
         self.check_broken(test, pattern, runs))
for _name in PROGRAMS:
    _test = "test_" + re.sub(r"\W+", "_", _name)
    _add(_test,
         (needs("numpy") if "numpy" in _name else lambda test: test)(lambda self, name=_name: self.check_program(name)))


if __name__ == "__main__":
    if sys.version_info[:2] != (3, 11):
        # all skipped is a failure from 3.12 on
        sys.exit(print("the stock server of 3.11 is what these are about: skipped"))
    unittest.main()
