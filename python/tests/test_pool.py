# SPDX-License-Identifier: MIT
"""The pool, and the backend for joblib: a fresh process for each task.
PYTHONPATH=<package> python3 -m unittest python/tests/test_pool.py"""

import os
import time
import unittest

import forkserver

try:
    import joblib
except ImportError:
    joblib = None

LIMIT = 60 * int(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))
state = None


def square(x):
    return x * x


def add(one, two=0):
    return one + two


def get_pid(_=None):
    return os.getpid()


def die():
    os._exit(2)


def fail():
    raise ValueError("on purpose")


def set_state(value):
    global state
    state = value


def get_state(_):
    return state


class Methods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = forkserver.Pool(2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.close()
        cls.pool.join()

    def test_values(self):
        squares = [x * x for x in range(10)]
        self.assertEqual(self.pool.map(square, range(10)), squares)
        self.assertEqual(self.pool.map_async(square, range(10), 3).get(LIMIT), squares)
        self.assertEqual(list(self.pool.imap(square, range(10))), squares)
        self.assertEqual(list(self.pool.imap(square, range(10), 4)), squares)
        self.assertEqual(sorted(self.pool.imap_unordered(square, range(10))), squares)
        self.assertEqual(self.pool.starmap(add, [(1, 2), (3, 4)]), [3, 7])
        self.assertEqual(self.pool.starmap_async(add, [(1, 2), (3, 4)]).get(LIMIT), [3, 7])
        self.assertEqual(self.pool.apply(add, (1,), {"two": 2}), 3)

    def test_each_item_has_a_process(self):
        self.assertEqual(len(set(self.pool.map(get_pid, range(10), 5))), 10)

    def test_callbacks(self):
        told, errors = [], []
        self.pool.apply_async(add, (1, 2), callback=told.append).wait(LIMIT)
        self.pool.apply_async(die, error_callback=errors.append).wait(LIMIT)
        self.pool.apply_async(fail, error_callback=errors.append).wait(LIMIT)
        self.assertEqual(told, [3])
        self.assertEqual([type(error) for error in errors], [forkserver.WorkerDied, ValueError])

    def test_a_death_fails_one(self):
        dead, well = self.pool.apply_async(die), self.pool.apply_async(add, (1, 2))
        self.assertEqual(well.get(LIMIT), 3)
        self.assertRaises(forkserver.WorkerDied, dead.get, LIMIT)


class Ends(unittest.TestCase):
    def test_terminate_kills(self):
        with forkserver.Server() as server:
            with forkserver.Pool(2, server=server) as pool:
                pool.map_async(time.sleep, [600] * 5)
                deadline = time.monotonic() + LIMIT
                while server.stats().get("workers") != 2:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
            pool.join()
            while server.stats()["workers"]:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

    def test_initializer_and_limits(self):
        with forkserver.Pool(1, set_state, ("set",), timeout=3) as pool:
            self.assertEqual(pool.map(get_state, range(3)), ["set"] * 3)
            self.assertRaises(TimeoutError, pool.apply, time.sleep, (600,))

    def test_wrong_options(self):
        self.assertRaises(ValueError, forkserver.Pool, 0)
        self.assertRaises(ValueError, forkserver.Pool, 1, maxtasksperchild=0)
        self.assertRaises(TypeError, forkserver.Pool, 1, no_such_option=1)


@unittest.skipIf(joblib is None, "needs joblib")
class Joblib(unittest.TestCase):
    def test_backend(self):
        forkserver.register_joblib()
        with joblib.parallel_backend("forkserver", n_jobs=2):
            self.assertEqual(joblib.Parallel()(joblib.delayed(square)(i) for i in range(10)),
                             [x * x for x in range(10)])
            self.assertEqual(len(set(joblib.Parallel()(joblib.delayed(get_pid)() for i in range(4)))), 4)
            self.assertRaises(forkserver.WorkerDied, joblib.Parallel(), [joblib.delayed(die)()])
        with joblib.parallel_backend("forkserver", n_jobs=2, timeout=1):
            self.assertRaises(TimeoutError, joblib.Parallel(), [joblib.delayed(time.sleep)(600)])


if __name__ == "__main__":
    unittest.main()
