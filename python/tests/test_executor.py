# SPDX-License-Identifier: MIT
"""The executor: a fresh process for each task.
PYTHONPATH=<package> python3 -m unittest python/tests/test_executor.py"""

import asyncio
import errno
import functools
import gc
import io
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from concurrent import futures
from multiprocessing import reduction

import forkserver

LIMIT = 60 * int(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))
state = None


def add(one, two=0):
    return one + two


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def set_state(value):
    global state
    state = value


def get_state():
    return state


def fail():
    raise ValueError("on purpose")


def be_late():
    raise TimeoutError("on purpose")


def get_pid(_=None):
    return os.getpid()


def sleep_with_child(path):
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    with open(path + ".new", "w") as file:
        file.write(f"{os.getpid()} {pid}")
    os.rename(path + ".new", path)
    time.sleep(600)


def fail_once(path, end):
    if not os.path.exists(path):
        with open(path, "w"):
            end()
    return "again"


def die():
    os._exit(1)


def hang():
    time.sleep(600)


def die_with_child():
    if os.fork() == 0:
        time.sleep(600)
    os._exit(1)


def let_a_child_answer():
    if os.fork() == 0:
        return "child"
    os.wait()
    return "parent"


def write_noise(noise):
    for fd in range(3, 64):
        try:
            os.write(fd, noise)
        except OSError:
            pass


def close_all_and_hang():
    os.closerange(3, 1024)
    hang()


def forget_seals():
    """Sends a memfd that could shrink as the answer."""
    fd = os.memfd_create("unsealed")
    os.ftruncate(fd, 1 << 20)
    for number in range(3, 64):
        try:
            with socket.socket(fileno=os.dup(number)) as sock:
                socket.send_fds(sock, [struct.pack("<Q", 1)], [fd])
        except OSError:
            pass


class Pickler:
    """Pickles what has no name as another function."""

    loads = staticmethod(pickle.loads)

    @staticmethod
    def dumps(value, protocol=None, buffer_callback=None):
        class Own(reduction.ForkingPickler):
            def reducer_override(self, found):
                return (functools.partial, (add, 1)) if getattr(found, "__name__", "") == "<lambda>" else NotImplemented

        file = io.BytesIO()
        Own(file, protocol).dump(value)
        return file.getvalue()


def count_up():
    set_state((state or 0) + 1)


def get_count(_):
    return state


def same(value):
    return value


def nest(executor, depth):
    if depth == 0:
        return 1
    with executor:
        return sum(executor.map(nest, [executor] * 2, [depth - 1] * 2))


def make_own():
    with forkserver.Executor(1) as executor:
        return executor.submit(add, 1, 2).result()


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Tasks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.executor = forkserver.Executor(2)
        cls.executor.submit(add, 1).result()

    @classmethod
    def tearDownClass(cls):
        cls.executor.shutdown()

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="forkserver-executor-")
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "file")

    def wait_until(self, condition):
        deadline = time.monotonic() + LIMIT
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def start_sleeper(self):
        """Returns (future, the pids that it has)."""
        future = self.executor.submit(sleep_with_child, self.path)
        self.wait_until(lambda: os.path.exists(self.path))
        with open(self.path) as file:
            return future, file.read().split()

    def test_each_task_has_a_process(self):
        self.assertEqual(len(set(self.executor.map(get_pid, range(10)))), 10)
        self.assertEqual(len(set(self.executor.map(get_pid, range(10), chunksize=5))), 2)

    def test_a_crash_fails_one_future(self):
        tasks = [self.executor.submit(crash) if i == 2 else self.executor.submit(add, i) for i in range(5)]
        self.assertEqual([task.result() for task in tasks if task is not tasks[2]], [0, 1, 3, 4])
        error = tasks[2].exception()
        self.assertIsInstance(error, forkserver.WorkerDied)
        self.assertNotIsInstance(error, futures.BrokenExecutor)
        self.assertIn("in crash\n", error.traceback)

    def test_a_running_task_is_cancelled(self):
        future, pids = self.start_sleeper()
        told = []
        future.add_done_callback(told.append)
        self.assertTrue(future.running())
        self.assertTrue(future.cancel())
        self.assertTrue(future.cancelled() and future.cancel())
        self.assertEqual(told, [future])
        self.assertEqual(futures.wait([future], LIMIT).done, {future})
        self.assertRaises(futures.CancelledError, future.result)
        for pid in pids:
            self.wait_until(lambda: not lives(pid))

    def test_a_waiter_is_told_of_it(self):
        future, _ = self.start_sleeper()
        threading.Timer(0.1, future.cancel).start()
        self.assertEqual(list(futures.as_completed([future], LIMIT)), [future])

    def test_what_has_ended_is_not_cancelled(self):
        future = self.executor.submit(add, 1)
        future.result()
        self.assertFalse(future.cancel())

    def test_cancelled_at_any_moment(self):
        for i in range(60):
            future = self.executor.submit(add, 1)
            time.sleep(i / 30000)
            self.assertEqual(future.cancel(), future.cancelled())
            if not future.cancelled():
                self.assertEqual(future.result(), 1)
        self.assertEqual(self.executor.submit(add, 2).result(), 2)

    def test_map(self):
        self.assertEqual(list(self.executor.map(add, range(20), range(20), chunksize=3)), list(range(0, 40, 2)))
        self.assertEqual(list(self.executor.map(add, [])), [])
        for options in {"chunksize": 0}, {"buffersize": 0}:
            self.assertRaises(ValueError, self.executor.map, add, [1], **options)
        self.assertRaises(TypeError, self.executor.map, add, [1], buffersize=1.5)

    def test_map_with_a_buffer(self):
        taken = []

        def numbers():
            for i in range(20):
                taken.append(i)
                yield i

        values = self.executor.map(add, numbers(), buffersize=3)
        self.assertEqual(len(taken), 3)
        self.assertEqual(next(values), 0)
        self.assertEqual(len(taken), 4)
        self.assertEqual(list(values), list(range(1, 20)))

    def test_map_that_runs_out_of_time_leaves_nothing(self):
        values = self.executor.map(time.sleep, [0, 600, 600, 600], timeout=1)
        with self.assertRaises(futures.TimeoutError):
            list(values)
        self.wait_until(lambda: self.executor._own_server.stats()["workers"] == 0)

    def test_event_loops(self):
        async def use():
            loop = asyncio.get_running_loop()
            values = await asyncio.gather(*(loop.run_in_executor(self.executor, add, i) for i in range(5)))
            self.assertEqual(values, list(range(5)))
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.run_in_executor(self.executor, time.sleep, 600), 0.5)

        asyncio.run(use())
        self.wait_until(lambda: self.executor._own_server.stats()["workers"] == 0)

    def test_submit_from_threads(self):
        values = []

        def work(i):
            values.append(self.executor.submit(add, i).result() == i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(values, [True] * 20)

    def test_nested(self):
        self.assertEqual(self.executor.submit(nest, self.executor, 3).result(), 8)
        self.assertEqual(self.executor.submit(make_own).result(), 3)

    def test_nothing_is_kept(self):
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            for task in [self.executor.submit(crash), self.executor.submit(fail), self.executor.submit(add, 1)]:
                task.exception()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class Options(unittest.TestCase):
    def test_initializer(self):
        with forkserver.Executor(2, initializer=set_state, initargs=("set",)) as executor:
            self.assertEqual({executor.submit(get_state).result() for _ in range(4)}, {"set"})

    def test_an_initializer_that_fails(self):
        with forkserver.Executor(1, initializer=fail) as executor:
            self.assertRaises(ValueError, executor.submit(add, 1).result)
            self.assertRaises(ValueError, executor.submit(add, 1).result)

    def test_limits(self):
        with forkserver.Executor(1, timeout=2, memory=64 << 20) as executor:
            self.assertIsInstance(executor.submit(hang).exception(), TimeoutError)
            self.assertIsInstance(executor.submit(bytearray, 256 << 20).exception(), MemoryError)

    def test_retries(self):
        with tempfile.TemporaryDirectory() as directory, forkserver.Executor(1, timeout=2, retries=1) as executor:
            for end in die, hang:
                path = os.path.join(directory, end.__name__)
                self.assertEqual(executor.submit(fail_once, path, end).result(), "again")
            self.assertIsInstance(executor.submit(die).exception(), forkserver.WorkerDied)
            os.unlink(path)
            # this is an answer, though of the kind that says that a process had no time
            self.assertRaisesRegex(TimeoutError, "on purpose", executor.submit(fail_once, path, be_late).result)

    def test_wrong_options(self):
        for options in {"max_workers": 0}, {"timeout": 0}, {"memory": -1}, {"retries": -1}, {"main": "yes"}:
            self.assertRaises(ValueError, forkserver.Executor, **options)
        self.assertRaises(TypeError, forkserver.Executor, initializer=1)
        self.assertRaises(TypeError, forkserver.Executor, mp_context=None)

    def test_a_server_for_several(self):
        with forkserver.Server() as server:
            with forkserver.Executor(1, server=server) as one, forkserver.Executor(1, server=server) as other:
                self.assertEqual(one.submit(add, 1).result() + other.submit(add, 2).result(), 3)
            self.assertEqual(server.call(add, 1), 1)

    def test_few_fds(self):
        import resource

        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        with forkserver.Executor(40) as executor:
            executor.submit(add, 1).result()
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 100, before[1]))
            self.assertEqual(list(executor.map(add, range(200))), list(range(200)))


    def test_many_more_threads_than_fds(self):
        import resource

        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        with forkserver.Executor(1000) as executor:
            executor.submit(add, 1).result()
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
            self.assertEqual(list(executor.map(add, range(1000), timeout=LIMIT)), list(range(1000)))


class Reuse(unittest.TestCase):
    def setUp(self):
        self.executor = forkserver.Executor(1, reuse=4, timeout=5)
        self.addCleanup(self.executor.shutdown)

    def test_so_many_tasks_share_a_process(self):
        pids = list(self.executor.map(get_pid, range(10)))
        self.assertEqual([pids.count(pid) for pid in dict.fromkeys(pids)], [4, 4, 2])

    def test_a_death_fails_one_task(self):
        first, dead, next_one = [self.executor.submit(function) for function in (get_pid, crash, get_pid)]
        self.assertIn("in crash\n", dead.exception().traceback)
        self.assertNotEqual(first.result(), next_one.result())
        self.assertIsInstance(self.executor.submit(die).exception(), forkserver.WorkerDied)
        self.assertIn("sent no result", str(self.executor.submit(os._exit, 0).exception()))

    def test_exceptions_leave_the_process(self):
        first = self.executor.submit(get_pid)
        self.assertIn("in fail\n", str(self.executor.submit(fail).exception().__cause__))
        self.assertEqual(first.result(), self.executor.submit(get_pid).result())

    def test_limits(self):
        with forkserver.Executor(1, reuse=10, timeout=2, memory=64 << 20) as executor:
            self.assertIsInstance(executor.submit(hang).exception(), TimeoutError)
            self.assertIsInstance(executor.submit(bytearray, 256 << 20).exception(), MemoryError)
            self.assertEqual(executor.submit(add, 1).result(), 1)

    def test_a_death_that_leaves_a_child(self):
        self.assertIsInstance(self.executor.submit(die_with_child).exception(), forkserver.WorkerDied)

    def test_a_child_that_answers(self):
        tasks = [self.executor.submit(let_a_child_answer), *(self.executor.submit(add, i) for i in range(3))]
        self.assertEqual([task.result(LIMIT) for task in tasks], ["parent", 0, 1, 2])

    def test_noise(self):
        noises = (write_noise, b"noise"), (write_noise, b""), (write_noise, bytes(20)), (forget_seals,)
        for function, *arguments in noises:
            error = self.executor.submit(function, *arguments).exception(LIMIT)
            if arguments != [b""]:  # which is no message where it isn't written to a socket
                self.assertIsInstance(error, (forkserver.WorkerDied, forkserver.Error))
                self.assertIn("what came is no result", str(error))
            self.assertEqual(self.executor.submit(add, 1).result(LIMIT), 1)

    def test_no_answer_to_come(self):
        with forkserver.Executor(1, reuse=4, timeout=2) as executor:
            self.assertIsInstance(executor.submit(close_all_and_hang).exception(LIMIT), TimeoutError)
            self.assertEqual(executor.submit(add, 1).result(LIMIT), 1)

    def test_a_process_that_takes_no_calls(self):
        with forkserver.Executor(1, reuse=4, timeout=0.5, initializer=hang) as executor:
            self.assertIsInstance(executor.submit(same, memoryview(bytearray(8 << 20))).exception(LIMIT), TimeoutError)

    def test_an_initializer_by_the_pickler(self):
        with forkserver.Executor(1, reuse=4, pickler=Pickler, initializer=lambda: 1) as executor:
            self.assertEqual(executor.submit(add, 1).result(LIMIT), 1)

    def test_cancel_kills(self):
        future = self.executor.submit(hang)
        while not future.running():
            time.sleep(0.01)
        self.assertTrue(future.cancel())
        self.assertEqual(self.executor.submit(add, 1).result(), 1)

    def test_initializer_once(self):
        with forkserver.Executor(1, reuse=3, initializer=count_up) as executor:
            self.assertEqual(list(executor.map(get_count, range(4))), [1, 1, 1, 1])

    def test_an_initializer_that_fails(self):
        with forkserver.Executor(1, reuse=3, initializer=fail) as executor:
            self.assertRaisesRegex(ValueError, "on purpose", executor.submit(add, 1).result)

    def test_large(self):
        view = memoryview(bytearray(8 << 20))
        again = self.executor.submit(same, view).result()
        again[0] = 1
        self.assertEqual((len(again), view[0]), (8 << 20, 0))

    def test_the_end_leaves_nothing(self):
        server = forkserver.Server()
        with server, forkserver.Executor(2, reuse=100, server=server) as executor:
            list(executor.map(add, range(10)))
            executor.shutdown()
            deadline = time.monotonic() + LIMIT
            while server.stats()["workers"]:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)


class Programs(unittest.TestCase):
    """What is about a program's main module and end."""

    def run_script(self, text, code=0):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "script.py")
            with open(path, "w") as file:
                file.write(textwrap.dedent(text))
            result = subprocess.run([sys.executable, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                    timeout=LIMIT)
        self.assertEqual(result.returncode, code, result.stderr)
        self.errors = result.stderr
        return result.stdout

    def test_mains_classes(self):
        self.assertEqual(self.run_script("""
            import forkserver
            class Pair:
                def __init__(self, one, two): self.one, self.two = one, two
                def swap(self): return Pair(self.two, self.one)
            if __name__ == "__main__":
                with forkserver.Executor(1) as executor:
                    pair = executor.submit(Pair(1, 2).swap).result()
                    print(type(pair) is Pair, pair.one, pair.two)
                    print(type(executor.submit(lambda: 1).exception()).__name__)
        """), "True 2 1\nPicklingError\n")

    def test_main_is_imported_as_told(self):
        text = """
            import os, sys, time
            print("import", flush=True)
            def add(x): return x + 1
            if __name__ == "__main__":
                import forkserver
                with forkserver.Executor(1, main=MAIN) as executor:
                    print(executor.submit(len, "abc").result())
                    print(executor.submit(add, 1).exception())
        """
        self.assertEqual(self.run_script(text.replace("MAIN", '"import"')).count("import\n"), 3)
        text = self.run_script(text.replace("MAIN", "None"))
        self.assertEqual(text.count("import\n"), 1)
        self.assertIn("3\nCan't get attribute 'add'", text)

    def test_no_main_guard(self):
        self.run_script("""
            import forkserver
            with forkserver.Executor(1) as executor:
                print(executor.submit(len, "abc").result())
        """, code=1)
        self.assertIn("WorkerDied", self.errors)

    def test_the_end_waits_for_tasks(self):
        self.assertEqual(self.run_script("""
            import forkserver, time
            def work():
                time.sleep(0.3)
                print("done", flush=True)
            if __name__ == "__main__":
                executor = forkserver.Executor(1)
                executor.submit(work)
                executor.submit(work)
                executor.shutdown(wait=False)
                print("end", flush=True)
        """), "end\ndone\ndone\n")

    def test_an_executor_that_goes(self):
        self.assertEqual(self.run_script("""
            import forkserver, threading
            if __name__ == "__main__":
                executor = forkserver.Executor(2)
                values = executor.map(len, ["a", "bc"])
                del executor
                print(list(values))
                for thread in threading.enumerate():
                    if thread is not threading.current_thread(): thread.join(30)
                print(threading.active_count())
        """), "[1, 2]\n1\n")


if __name__ == "__main__":
    unittest.main()
