# SPDX-License-Identifier: MIT
"""CPython's own tests of executors, run with forkserver.Executor in the place of ProcessPoolExecutor.

DIFFERENT says what isn't run, since the other meaning is what the executor is for. With BrokenProcessPool those tests
mean that the process died: here it is WorkerDied, and the executor goes on."""

import importlib
import multiprocessing
import os
import sys
import unittest

import forkserver

# What isn't so here, and why.
BROKEN = "a process that dies fails its own future, and no other"
PROCESSES = "there are no processes that wait for tasks"
UNPICKLED = "what unpickling raises is the future's exception, with the traceback of there"
DIFFERENT = {
    "test_killed_child": BROKEN,
    "test_error_at_task_unpickle": UNPICKLED,
    "test_exit_at_task_unpickle": UNPICKLED,
    "test_error_during_result_unpickle_in_result_handler": UNPICKLED,
    "test_exit_during_result_unpickle_in_result_handler": UNPICKLED,
    "test_saturation": PROCESSES,
    "test_idle_process_reuse_one": PROCESSES,
    "test_idle_process_reuse_multiple": PROCESSES,
    "test_max_tasks_per_child": "each process has one task",
    "test_max_tasks_per_child_defaults_to_spawn_context": "each process has one task",
    "test_max_tasks_early_shutdown": "each process has one task",
    "test_processes_terminate": PROCESSES,
    "test_context_manager_shutdown": PROCESSES,
    "test_del_shutdown": PROCESSES,
    "test_shutdown_no_wait": PROCESSES,
    "test_shutdown_deadlock_pickle": "it asks for a thread of ProcessPoolExecutor's",
    "test_gh105829_should_not_deadlock_if_wakeup_pipe_full": "it replaces parts of ProcessPoolExecutor",
    "test_python_finalization_error": "it replaces parts of ProcessPoolExecutor",
    "test_force_shutdown_workers_invalid_op": "3.14's terminate_workers() and kill_workers() are cancel()",
    "test_force_shutdown_workers": "3.14's terminate_workers() and kill_workers() are cancel()",
    "test_force_shutdown_workers_stops_queue": "3.14's terminate_workers() and kill_workers() are cancel()",
    "test_force_shutdown_workers_dead_workers": "3.14's terminate_workers() and kill_workers() are cancel()",
    "test_force_shutdown_workers_not_started_yet": "3.14's terminate_workers() and kill_workers() are cancel()",
}
# Class of CPython's tests: its module where they are a package.
MIXINS = {"ExecutorTest": "executor", "ProcessPoolExecutorTest": "test_process_pool",
          "ProcessPoolShutdownTest": "test_shutdown", "WaitTests": "test_wait", "AsCompletedTests": "test_as_completed",
          "ExecutorDeadlockTest": "test_deadlock", "InitializerMixin": "test_init"}
NAME = "test.test_concurrent_futures"


class Executor(forkserver.Executor):
    def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=()):
        super().__init__(max_workers, initializer=initializer, initargs=initargs)


def find(name):
    """Returns the module with that class of CPython's tests, or None."""
    try:
        package = importlib.import_module(NAME)
        if hasattr(package, "__path__"):
            return importlib.import_module(f"{NAME}.{MIXINS[name]}")
        return package
    except ImportError:
        return None


def run_script(run):
    """The scripts of the tests import the executor by its name."""
    def assert_python_ok(option, text, **environment):
        text = text.replace("from concurrent.futures import Executor", "from forkserver import Executor")
        return run(option, text, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), **environment)
    return assert_python_ok


class OurMixin:
    """Stands for CPython's ProcessPoolForkserverMixin."""

    executor_type = Executor
    worker_count = 5
    executor_kwargs = {}

    def setUp(self):
        if self._testMethodName in DIFFERENT:
            self.skipTest(DIFFERENT[self._testMethodName])
        super().setUp()
        self.executor = Executor(self.worker_count, **self.executor_kwargs)

    def tearDown(self):
        self.executor.shutdown()
        self.executor = None
        super().tearDown()

    def get_context(self):
        return multiprocessing.get_context("forkserver")


def make_tests():
    for name in MIXINS:
        module = find(name)
        if module is None:
            continue
        mixin = getattr(module, name)
        if hasattr(module, "BrokenProcessPool"):
            module.BrokenProcessPool = forkserver.WorkerDied
        if hasattr(module, "assert_python_ok") and not hasattr(module.assert_python_ok, "is_ours"):
            module.assert_python_ok = run_script(module.assert_python_ok)
            module.assert_python_ok.is_ours = True
        members = {"__module__": __name__}
        if name == "InitializerMixin":  # of this one the test alone: its setUp() makes a pool
            members.update(executor_kwargs={"initializer": module.init, "initargs": ("initialized",)},
                           test_initializer=mixin.test_initializer)
            mixin = object
        globals()[f"Our{name}"] = type(f"Our{name}", (OurMixin, *([] if mixin is object else [mixin]),
                                                      unittest.TestCase), members)


make_tests()

if __name__ == "__main__":
    unittest.main()
