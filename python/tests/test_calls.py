# SPDX-License-Identifier: MIT
"""Calls: a function in a process of its own, and what comes back.
PYTHONPATH=<package> python3 -m unittest python/tests/test_calls.py"""

import ctypes
import errno
import gc
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import forkserver

try:
    import numpy
except ImportError:
    numpy = None
try:
    import cloudpickle
except ImportError:
    cloudpickle = None

MIB = 1 << 20


class Odd(Exception):
    """Pickles, and cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(one)


class Silent(Exception):
    def __str__(self):
        raise ValueError


class Resists(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(name)

    def __reduce__(self):
        raise Silent


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("no pickle of this")


class Pair:
    """Pickles as two buffers."""

    def __init__(self, one, two):
        self.one, self.two = one, two

    def __reduce_ex__(self, protocol):
        return Pair, (pickle.PickleBuffer(self.one), pickle.PickleBuffer(self.two))


double = lambda x: 2 * x  # noqa: E731 # there under another name than its own


def make_adder(one):
    return lambda two: one + two


add_three = make_adder(3)


def add(one, two=0, *, times=1):
    return (one + two) * times


def give(value):
    return value


def map_list(function, values):
    return [function(value) for value in values]


def fail(*arguments):
    raise ValueError("on purpose", *arguments)


def fail_with(kind, *arguments):
    raise kind(*arguments)


def crash():
    ctypes.string_at(0)


def hang_with_child(path):
    if os.fork() == 0:
        with open(path, "w") as file:
            file.write(str(os.getpid()))
    time.sleep(600)


def take_memory(n):
    return len(bytearray(n))


def use_up_memory(blocks):
    """Leaves no byte of it."""
    size = 16 * MIB
    while True:
        try:
            blocks.append(bytearray(size))
        except MemoryError:
            if size == 1:
                raise
            size //= 2


def use_up_memory_for_ever():
    use_up_memory(vars(sys).setdefault("blocks", []))


def get_zeros(n):
    return memoryview(bytearray(n))


def give_lambda():
    return lambda: 1


def let_a_child_answer():
    if os.fork() == 0:
        return "child"
    os.wait()
    return "parent"


def close_all():
    os.closerange(3, 1024)
    return "closed"


def write_noise():
    for fd in range(3, 64):
        try:
            os.write(fd, b"noise")
        except OSError:
            pass
    return "written"


def get_zeros_array(n):
    return bytearray(n)


def change(view):
    view[0] = 1
    return bytes(view[:2])


def call_on(depth):
    return depth if depth == 0 else forkserver.Server().call(call_on, depth - 1) + 1


def limit_files_and_call(n, in_flight):
    resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
    with forkserver.Server() as server:
        outcomes = []

        def work(i):
            try:
                outcomes.append(server.call(give, i) == i)
            except OSError as error:
                outcomes.append(error.errno)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(in_flight)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return outcomes


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def call_without_room(n):
    with open("/proc/self/statm") as file:
        there = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (there + n // 2, resource.RLIM_INFINITY))
    server = forkserver.Server()
    try:
        server.call(get_zeros, n)
    except OSError as error:
        return [error.errno, server.call(add, 5)]


def fds():
    return sorted(os.listdir("/proc/self/fd"))


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = forkserver.Server()
        cls.server.call(give, 0)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        gc.collect()
        self.before = fds()

    def tearDown(self):
        self.assertEqual(len(fds()), len(self.before))

    def died(self, function, *arguments, **options):
        with self.assertRaises(forkserver.WorkerDied) as caught:
            self.server.call(function, *arguments, **options)
        return caught.exception

    # ---- values and exceptions ----

    def test_a_value(self):
        self.assertEqual(self.server.call(add, 2, two=3, times=2), 10)
        self.assertIsNone(self.server.call(give, None))

    def test_an_exception_with_its_traceback(self):
        with self.assertRaises(ValueError) as caught:
            self.server.call(fail, 7)
        self.assertEqual(caught.exception.args, ("on purpose", 7))
        cause = caught.exception.__cause__
        self.assertEqual(type(cause).__name__, "_RemoteTraceback")
        self.assertIn("in fail\n", str(cause))
        self.assertNotIn("in answer", str(cause))

    def test_exceptions_that_end_programs(self):
        for kind in SystemExit, KeyboardInterrupt, GeneratorExit:
            with self.assertRaises(kind):
                self.server.call(fail_with, kind)

    def test_an_exception_that_cannot_be_unpickled(self):
        with self.assertRaises(TypeError) as caught:
            self.server.call(fail_with, Odd, 1, 2)
        self.assertIn("Odd: 1", str(caught.exception.__cause__))

    def test_an_exception_that_cannot_be_pickled(self):
        with self.assertRaisesRegex(RuntimeError, "Unpicklable was raised, which cannot be pickled"):
            self.server.call(fail_with, Unpicklable)

    def test_exceptions_that_resist(self):
        with self.assertRaisesRegex(RuntimeError, "Resists was raised, which cannot be pickled: Silent"):
            self.server.call(fail_with, Resists)

    def test_a_value_that_cannot_be_pickled(self):
        with self.assertRaisesRegex((AttributeError, pickle.PicklingError), "lambda") as caught:
            self.server.call(give_lambda)
        self.assertIn("Traceback", str(caught.exception.__cause__))

    def test_an_argument_that_cannot_be_pickled(self):
        with self.assertRaises((AttributeError, pickle.PicklingError)):
            self.server.call(give, lambda: 1)

    def test_a_function_that_the_process_does_not_have(self):
        globals()["late"] = lambda: 1  # as below a main guard
        self.addCleanup(globals().pop, "late")
        with self.assertRaisesRegex(AttributeError, "'late' in this process: .* outside the main guard"):
            self.server.call(globals()["late"])

    def test_text_instead_of_a_list(self):
        with self.assertRaisesRegex(TypeError, r"as \['json'\]"):
            forkserver.Server(preload="json")
        with self.assertRaisesRegex(TypeError, r"as \['true'\]"):
            self.server.run("true")

    def test_functions_by_the_names_that_they_have(self):
        self.assertEqual(self.server.call(double, 3), 6)
        self.assertEqual(self.server.call(add_three, 3), 6)
        self.assertIs(self.server.call(give, double), double)
        self.assertEqual(self.server.call(map_list, double, memoryview(bytearray(MIB))[:3]), [0, 0, 0])

    def test_a_function_that_is_not_there(self):
        module = type(os)("no_such_module")
        function = type(add)(add.__code__, {}, "add")
        function.__module__ = "no_such_module"
        module.add, sys.modules["no_such_module"] = function, module
        self.addCleanup(sys.modules.pop, "no_such_module")
        with self.assertRaises(ModuleNotFoundError):
            self.server.call(function, 1)

    def test_multiprocessings_own_objects_are_arguments(self):
        import multiprocessing

        reader, writer = multiprocessing.get_context("forkserver").Pipe()
        self.server.call(type(writer).send, writer, "hello")
        self.assertEqual(reader.recv(), "hello")
        reader.close()
        writer.close()

    # ---- deaths ----

    def test_a_crash(self):
        error = self.died(crash)
        self.assertEqual((error.signal, error.exit_code), (signal.SIGSEGV, None))
        self.assertIn("Segmentation fault", error.traceback)
        self.assertIn("in crash\n", error.traceback)
        self.assertIn("was killed by SIGSEGV", str(error))
        self.assertGreater(error.rusage.ru_maxrss, 0)
        self.assertIn(error.core, (True, False))

    def test_exits(self):
        self.assertEqual(self.died(os._exit, 3).exit_code, 3)
        self.assertIn("exited with 0, and sent no result", str(self.died(os._exit, 0)))

    def test_a_death_is_pickled(self):
        for arguments in (os._exit, 3), (crash,):
            error = self.died(*arguments)
            again = pickle.loads(pickle.dumps(error))
            self.assertEqual((str(again), again.signal), (str(error), error.signal))
            self.assertEqual(again.rusage, error.rusage)

    def test_a_death_says_nothing_of_the_pool(self):
        from concurrent.futures import BrokenExecutor

        self.assertNotIsInstance(self.died(os._exit, 3), BrokenExecutor)

    def test_a_time_limit(self):
        path = f"/tmp/forkserver-calls-{os.getpid()}"
        self.addCleanup(os.unlink, path)
        with self.assertRaisesRegex(TimeoutError, "has not ended after 2 s"):
            self.server.call(hang_with_child, path, timeout=2)
        with open(path) as file:
            pid = file.read()
        deadline = time.monotonic() + 30
        while lives(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(lives(pid))

    def test_limits_out_of_range(self):
        for options in {"timeout": 0}, {"timeout": -1}, {"memory": 0}:
            with self.assertRaises(ValueError):
                self.server.call(give, 1, **options)

    def test_a_memory_limit(self):
        self.assertEqual(self.server.call(take_memory, MIB, memory=64 * MIB), MIB)
        with self.assertRaises(MemoryError) as caught:
            self.server.call(take_memory, 256 * MIB, memory=64 * MIB)
        self.assertIn("in take_memory", str(caught.exception.__cause__))
        with self.assertRaises(MemoryError):
            self.server.call(get_zeros, 48 * MIB, memory=64 * MIB)  # there is room for one of them

    def test_no_memory_is_left_to_tell_of_it(self):
        for function, *arguments in (use_up_memory, []), (use_up_memory_for_ever,):
            with self.assertRaises(MemoryError) as caught:
                self.server.call(function, *arguments, memory=64 * MIB)
            self.assertIn("in use_up_memory", str(caught.exception.__cause__))

    # ---- what is large ----

    def test_large_views_are_not_copied(self):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        view = self.server.call(get_zeros, 1024 * MIB)
        self.assertEqual((len(view), view[0], view[-1]), (1024 * MIB, 0, 0))
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 64 << 10)
        view[5] = 7
        self.assertEqual(view[5], 7)

    def test_no_room_for_a_result(self):
        self.assertEqual(self.server.call(call_without_room, 512 * MIB), [errno.ENOMEM, 5])

    def test_views_of_all_sizes(self):
        for size in 0, 1, 1000, 32000, 32768, 40000, MIB + 1:
            view = memoryview(os.urandom(size))
            self.assertEqual(self.server.call(give, view), view)
            self.assertEqual(bytes(self.server.call(give, bytes(view))), view)
            self.assertEqual(self.server.call(give, bytearray(view)), view)

    def test_shapes_of_views(self):
        view = memoryview(bytearray(80000)).cast("i", (100, 200))
        again = self.server.call(give, view)
        self.assertEqual((again.format, again.shape), ("i", (100, 200)))
        data = bytes(range(200)) * 1000
        self.assertEqual(self.server.call(give, memoryview(data)[::3]).tobytes(), data[::3])

    def test_arguments_can_be_changed(self):
        view = memoryview(bytearray(MIB))
        self.assertEqual(self.server.call(change, view), b"\1\0")
        self.assertEqual(view[0], 0)

    def test_what_was_read_only_stays_so(self):
        pair = self.server.call(give, Pair(bytes(MIB), bytearray(MIB)))
        self.assertTrue(memoryview(pair.one).readonly)
        self.assertFalse(memoryview(pair.two).readonly)

    @unittest.skipIf(numpy is None, "needs numpy")
    def test_arrays(self):
        array = numpy.arange(MIB)
        again = self.server.call(numpy.sort, -array)
        self.assertTrue((again[::-1] == -array).all())
        again += 1
        del array
        gc.collect()
        self.assertEqual(again[-1], 1)

    # ---- bad functions ----

    def test_a_child_that_answers(self):
        self.assertEqual(self.server.call(let_a_child_answer), "parent")

    def test_all_fds_closed(self):
        self.assertIn("sent no result", str(self.died(close_all)))

    def test_noise(self):
        with self.assertRaises((forkserver.WorkerDied, forkserver.Error)):
            self.server.call(write_noise)
        self.assertEqual(self.server.call(add, 1), 1)

    def test_nested(self):
        self.assertEqual(self.server.call(call_on, 3), 3)

    def test_few_fds(self):
        outcomes = self.server.call(limit_files_and_call, 64, 100)
        self.assertEqual(len(outcomes), 100)
        self.assertTrue(set(outcomes) <= {True, 24}, set(outcomes))  # EMFILE

    def test_an_interrupted_call_leaves_nothing(self):
        def interrupt(*_):
            raise InterruptedError("here")

        before = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with self.assertRaises(InterruptedError):
            self.server.call(time.sleep, 600)
        deadline = time.monotonic() + 30
        while self.server.stats()["workers"] and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.server.stats()["workers"], 0)

    def test_many_threads(self):
        outcomes = []
        threads = [threading.Thread(target=lambda i=i: outcomes.append(self.server.call(add, i) == i))
                   for i in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(outcomes, [True] * 40)


class Pickler:
    """Pickles functions by their names in another way."""

    @staticmethod
    def dumps(value, protocol=None, buffer_callback=None):
        return b"+" + pickle.dumps(value, protocol, buffer_callback=buffer_callback)

    @staticmethod
    def loads(data, *, buffers=None):
        return pickle.loads(memoryview(data)[1:], buffers=buffers)


def make_model():
    return {"pid": os.getpid()}


def use_model():
    return forkserver.prepared()["pid"], os.getpid()


def import_rare(directory):
    sys.path.insert(0, directory)
    import rare  # noqa: F401


class Fd:
    """An fd that is an argument."""

    def __init__(self, fd):
        self.fd = fd

    def __reduce__(self):
        from multiprocessing import reduction

        return give, (reduction.DupFd(self.fd),)


def send_on(sock, fd):
    sock.send(b"from there")
    with os.fdopen(fd.detach(), "wb") as file:
        file.write(b"written")


class Options(unittest.TestCase):
    def test_bytes(self):
        with forkserver.Server() as server:
            self.assertEqual(server.call_bytes(give, b"bytes"), b"bytes")
            self.assertEqual(server.call_bytes(give, b""), b"")
            view = server.call_bytes(get_zeros, MIB)
            self.assertEqual((type(view), len(view)), (memoryview, MIB))
            with self.assertRaisesRegex(forkserver.RemoteError, "(?s)in fail\n.*ValueError: .'on purpose', 1"):
                server.call_bytes(fail, 1)
            self.assertRaisesRegex(forkserver.RemoteError, "TypeError", server.call_bytes, give, "text")
            self.assertRaises(forkserver.WorkerDied, server.call_bytes, crash)

    def test_prepared_once(self):
        with forkserver.Server(prepare=make_model, preload=["__main__"], on_error="fail") as server:
            pids = [server.call(use_model) for _ in range(4)]
        self.assertEqual(len({model for model, _ in pids}), 1)
        self.assertEqual(len({process for _, process in pids}), 4)

    def test_prepared_in_each_process(self):
        with forkserver.Server(prepare=make_model, main="import") as server:
            model, process = server.call(use_model)
            self.assertEqual(model, process)

    def test_a_function_of_a_module_prepares(self):
        with forkserver.Server(prepare=os.getpid, main=None) as server:
            pids = {server.call(forkserver.prepared) for _ in range(3)}
            self.assertEqual(len(pids), 1)

    def test_reload(self):
        with forkserver.Server(prepare=os.getpid, main=None) as server:
            server.reload()  # nothing runs yet
            before = server.call(forkserver.prepared)
            server.reload()
            after = {server.call(forkserver.prepared) for _ in range(8)}
            self.assertEqual(len(after), 1)
            self.assertNotIn(before, after)

    def test_a_reload_that_fails(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "changing.py")
        with open(path, "w") as file:
            file.write("value = 1\n")
        sys.path.insert(0, directory.name)
        self.addCleanup(sys.path.remove, directory.name)
        with forkserver.Server(preload=["changing"], on_error="fail", main=None) as server:
            self.assertEqual(server.call(eval, "__import__('changing').value"), 1)
            with open(path, "w") as file:
                file.write("value = 1 / 0\n")
            self.assertRaisesRegex(forkserver.Error, "division by zero", server.reload)
            self.assertEqual(server.call(eval, "__import__('changing').value"), 1)
            with open(path, "w") as file:
                file.write("value = 12345\n")
            server.reload(60)
            self.assertEqual(server.call(eval, "__import__('changing').value"), 12345)

    def test_what_prepares_raises(self):
        with forkserver.Server(prepare=fail) as server:
            for _ in range(2):
                self.assertRaisesRegex(ValueError, "on purpose", server.call, give, 1)
            self.assertRaisesRegex(forkserver.RemoteError, "on purpose", server.call_bytes, give, b"")

    def test_picklers(self):
        with forkserver.Server(pickler=Pickler) as server:
            self.assertEqual(server.call(add, 1, two=2), 3)
            self.assertRaises(ValueError, server.call, fail)
            self.assertEqual(len(server.call(get_zeros_array, 1 << 20)), 1 << 20)

    @unittest.skipIf(cloudpickle is None, "needs cloudpickle")
    def test_closures(self):
        with forkserver.Server(pickler=cloudpickle, prepare=lambda: [1, 2], main=None) as server:
            one = 1
            self.assertEqual(server.call(lambda two: forkserver.prepared()[1] + one + two, 2), 5)
            self.assertEqual(server.call(lambda: lambda: one)(), 1)

    def test_fds(self):
        here, there = socket.socketpair()
        reader, writer = os.pipe()
        with here, there, forkserver.Server() as server:
            server.call(send_on, there, Fd(writer))
            self.assertEqual(here.recv(100), b"from there")
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            self.assertEqual(file.read(), b"written")

    def test_modules_to_preload_are_named(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        with open(os.path.join(directory.name, "rare.py"), "w") as file:
            file.write("import colorsys\n")
        with forkserver.Server() as server, self.assertLogs("forkserver", "WARNING") as caught:
            for _ in range(12):
                server.call(import_rare, directory.name)
        self.assertEqual(len(caught.output), 1)
        self.assertRegex(caught.output[0], "preload these, which 10 calls have imported by themselves: .*rare")


CLIENT = """
import forkserver, os, time

def work():
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    forkserver.Server().call(work)
"""


class Clients(unittest.TestCase):
    def test_a_client_that_is_killed(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "client.py")
            with open(path, "w") as file:
                file.write(CLIENT)
            with subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True) as client:
                pid = int(client.stdout.readline())
                client.kill()
        deadline = time.monotonic() + 60
        while lives(pid):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
