# SPDX-License-Identifier: MIT
"""Tasks of Dask, each in a fresh process. PYTHONPATH=<package> python3 -m unittest python/tests/test_dask.py"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import dask
    import distributed
except ImportError:
    distributed = None
else:
    import forkserver.dask

LIMIT = 60 * float(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))


def find_name():
    with open("/proc/self/comm") as file:
        return os.getpid(), file.read().strip()


def crash(value):
    if value == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return value * 2


def die_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(3)
    return "the second time"


def fail(value):
    if value % 2:
        raise ValueError(value)
    return value


def sleep_and_tell(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    os.rename(path, path + ".there")
    time.sleep(LIMIT)


def get_pid(_=None):
    return os.getpid()


def is_alive(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for(condition):
    deadline = time.monotonic() + LIMIT
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{condition} has not come true")
        time.sleep(0.01)
    return value


@contextlib.contextmanager
def cluster(n_workers=1, **options):
    options = {"threads_per_worker": 2, "dashboard_address": None, "silence_logs": logging.CRITICAL, **options}
    with tempfile.TemporaryDirectory(prefix="forkserver-dask-") as directory, \
            distributed.LocalCluster(n_workers=n_workers, local_directory=directory, **options) as local, \
            distributed.Client(local) as client:
        yield client


def register(client, *arguments, **options):
    return client.register_worker_plugin(forkserver.dask.Processes(*arguments, **options))


def metrics(client):
    ((_, worker),) = client.scheduler_info()["workers"].items()
    return worker["metrics"]


@unittest.skipIf(distributed is None, "needs distributed")
class Tasks(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.client = cls.stack.enter_context(cluster())

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def setUp(self):
        register(self.client)

    def submit(self, function, *arguments, executor="processes", **options):
        with dask.annotate(executor=executor):
            return self.client.submit(function, *arguments, pure=False, **options)

    def test_each_task_has_a_process_of_its_key(self):
        futures = [self.submit(find_name, key=f"find-{i}") for i in range(6)]
        pids, names = zip(*self.client.gather(futures))
        self.assertEqual(len(set(pids)), 6)
        self.assertEqual(list(names), [f"find-{i}" for i in range(6)])

    def test_a_death_is_that_tasks_alone(self):
        futures = [self.submit(crash, i) for i in range(6)]
        distributed.wait(futures)
        self.assertEqual([future.status for future in futures], ["finished"] * 3 + ["error"] + ["finished"] * 2)
        error = futures[3].exception()
        self.assertIsInstance(error, forkserver.WorkerDied)
        self.assertEqual(error.signal, signal.SIGSEGV)
        self.assertIn("in crash", error.traceback)
        self.assertEqual(self.submit(crash, 4).result(), 8)

    def test_dask_tries_again(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "once")
            self.assertEqual(self.submit(die_once, path, retries=1).result(), "the second time")

    def test_limits(self):
        register(self.client, timeout=2)
        with self.assertRaises(TimeoutError):
            self.submit(time.sleep, LIMIT).result()

    def test_default(self):
        worker_pid = self.client.submit(get_pid, pure=False).result()
        register(self.client, default=True)
        own = self.client.submit(get_pid, pure=False).result()
        self.assertNotEqual(own, worker_pid)
        self.assertEqual(self.submit(get_pid, executor="threads").result(), worker_pid)
        register(self.client)
        self.assertEqual(self.client.submit(get_pid, pure=False).result(), worker_pid)

    def test_a_module_that_is_uploaded_again(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "uploaded_for_a_test.py")

            def upload(value):
                with open(path, "w") as file:
                    file.write(f"def get(): return {value}\n")
                self.client.upload_file(path)

            def call():
                import uploaded_for_a_test

                return uploaded_for_a_test.get()

            upload(1)
            register(self.client, preload=["uploaded_for_a_test"])
            self.assertEqual(self.submit(call).result(), 1)
            upload(22)
            self.assertEqual(self.submit(call).result(), 22)

    def test_restart(self):
        self.submit(get_pid).result()
        self.client.restart()
        self.assertNotEqual(self.submit(get_pid).result(), self.client.submit(get_pid, pure=False).result())

    def test_counters(self):
        register(self.client, name="counted")
        futures = [self.submit(crash, i, executor="counted") for i in range(4)]
        distributed.wait(futures)
        wait_for(lambda: metrics(self.client).get("counted_done") == 4)  # with the one that setup() sends
        self.assertEqual(metrics(self.client)["counted_died"], 1)
        self.assertEqual(metrics(self.client)["counted_running"], 0)
        self.assertEqual(metrics(self.client)["counted_zygote_restarts"], 0)

    def test_what_cannot_be_loaded_is_told_at_once(self):
        self.addCleanup(self.client.unregister_worker_plugin, "forkserver-broken")
        with self.assertRaisesRegex(forkserver.Error, "no_such_module"):
            register(self.client, preload=["no_such_module"], name="broken", on_error="fail")

    def test_another_version(self):
        plugin = forkserver.dask.Processes(name="other")
        self.addCleanup(self.client.unregister_worker_plugin, "forkserver-other")
        plugin.version = "0.0.1"
        with self.assertRaisesRegex(RuntimeError, "the client has forkserver 0.0.1, and the worker tcp"):
            self.client.register_worker_plugin(plugin)

    def test_map_unordered(self):
        outcomes = list(forkserver.dask.map_unordered(self.client, crash, range(100)))
        self.assertEqual(sorted(item for item, _, _ in outcomes), list(range(100)))
        for item, is_value, value in outcomes:
            if item == 3:
                self.assertIsInstance(value, forkserver.WorkerDied)
            else:
                self.assertEqual((is_value, value), (True, item * 2))

    def test_map_unordered_tells_of_exceptions(self):
        outcomes = dict((item, (is_value, value)) for item, is_value, value in
                        forkserver.dask.map_unordered(self.client, fail, iter(range(7)), chunksize=3))
        self.assertEqual(len(outcomes), 7)
        self.assertEqual(outcomes[4], (True, 4))
        self.assertFalse(outcomes[5][0])
        self.assertEqual(outcomes[5][1].args, (5,))

    def test_map_unordered_tries_again(self):
        with tempfile.TemporaryDirectory() as directory:
            paths = [os.path.join(directory, str(i)) for i in range(3)]
            outcomes = list(forkserver.dask.map_unordered(self.client, die_once, paths, retries=1))
            self.assertEqual(sorted(outcomes), [(path, True, "the second time") for path in paths])

    def test_map_unordered_of_nothing(self):
        self.assertEqual(list(forkserver.dask.map_unordered(self.client, crash, [])), [])


@unittest.skipIf(distributed is None, "needs distributed")
class Ends(unittest.TestCase):
    def test_a_killed_worker_takes_its_processes_along(self):
        with tempfile.TemporaryDirectory() as directory, cluster() as client:
            register(client)
            path = os.path.join(directory, "pid")
            with dask.annotate(executor="processes"):
                future = client.submit(sleep_and_tell, path)
            wait_for(lambda: os.path.exists(path + ".there"))
            with open(path + ".there") as file:
                task = int(file.read())
            worker = client.submit(get_pid, pure=False).result()
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: not is_alive(task))
            future.cancel()

    def test_a_lost_worker_repeats_its_chunks_alone(self):
        with tempfile.TemporaryDirectory() as directory, cluster(2, threads_per_worker=1) as client:
            register(client)

            def note(item):
                open(os.path.join(directory, f"{item}.{os.getpid()}"), "w").close()
                return item

            values, killed = [], None
            for item, is_value, value in forkserver.dask.map_unordered(client, note, range(200), chunksize=10):
                values.append(value)
                if killed is None and len(values) >= 60:
                    killed = client.submit(get_pid, pure=False).result()
                    os.kill(killed, signal.SIGKILL)
            self.assertEqual(sorted(values), list(range(200)))
            self.assertLessEqual(len(os.listdir(directory)), 200 + 3 * 10)  # those of the worker that were open

    @contextlib.contextmanager
    def worker(self, client, *options, **environment):
        """One that was started by its command."""
        worker = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_worker", client.scheduler.address,
                                   "--nthreads", "2", "--no-dashboard", *options], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env={**os.environ, **environment})
        try:
            client.wait_for_workers(1, timeout=LIMIT)
            yield
        finally:
            worker.terminate()
            worker.wait(LIMIT)

    def test_the_command_of_a_worker(self):
        with cluster(0) as client, self.worker(client, "--preload", "forkserver.dask", "--fork-preload", "json",
                                               "--fork-default", "--fork-timeout", "2"):
            pids = {client.submit(get_pid, i).result() for i in range(3)}
            self.assertEqual(len(pids), 3)
            with self.assertRaises(TimeoutError):
                client.submit(time.sleep, LIMIT).result()

    def test_a_node_without_forkserver(self):
        with cluster(0) as client, self.worker(client, PYTHONPATH=""):
            with self.assertRaisesRegex(Exception, "No module named 'forkserver'"):
                register(client)


@unittest.skipIf(distributed is None or os.geteuid() != 0, "needs distributed, and root for namespaces")
class Nodes(unittest.TestCase):
    def test_three_nodes(self):
        """In short; `./dev cluster dask` runs it whole."""
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/cluster/dask.py")
        result = subprocess.run([sys.executable, program, "--short"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, timeout=3 * LIMIT)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
