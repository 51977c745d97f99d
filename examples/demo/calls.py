# SPDX-License-Identifier: MIT
"""Part 3, as it is shown: both ways, and what each says of the items that go wrong."""

import concurrent.futures
import os
import sys

import accidents
import forkserver
import jobs
import screen
from jobs import check

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "accidents.py")
ERRORS = {"crash": forkserver.WorkerDied, "hang": TimeoutError, "memory": MemoryError, "wrong": ValueError}


def run_ours(names, wrong, n_jobs):
    """Returns the run and, by name, the errors."""
    clock = jobs.Clock(len(names))
    results, errors = {}, {}
    with forkserver.Executor(n_jobs, timeout=accidents.TIMEOUT, memory=accidents.MEMORY) as executor:
        futures = {executor.submit(accidents.work, name, wrong.get(name)): name for name in names}
        try:
            for future in concurrent.futures.as_completed(futures):
                if error := future.exception():
                    errors[futures[future]] = error
                else:
                    results[futures[future]] = future.result()
                clock.count()
        finally:
            for future in futures:
                future.cancel()
    return jobs.Run([], clock.times, clock.seconds()), results, errors


def check_ours(names, wrong, results, errors):
    check(errors.keys() == wrong.keys(), f"these have errors: {sorted(errors)}; these should: {sorted(wrong)}")
    for name, kind in wrong.items():
        check(isinstance(errors[name], ERRORS[kind]), f"{name}: {errors[name]!r} is not what should have happened")
        if kind == "crash":
            check(errors[name].signal == 11, f"{name}: {errors[name]}")
    check(results == {name: accidents.expected(name) for name in names if name not in wrong}, "a result is wrong")


def tell_errors(errors):
    for name in sorted(errors):
        error = errors[name]
        text = str(error).splitlines()[0] if str(error) else ""
        screen.show(f"{name}  {type(error).__name__}{': ' if text else ''}{text}")


def run_theirs(names, wrong, n_jobs):
    """A ProcessPoolExecutor would wait for ever for the items that hang: they are left out."""
    items = [f"{name} {wrong.get(name, '')}" for name in names if wrong.get(name) != "hang"]
    theirs = jobs.run([sys.executable, PROGRAM, str(n_jobs)], items)
    check(theirs.code == 1 and "BrokenProcessPool" in theirs.errors.splitlines()[-1],
          f"ProcessPoolExecutor ended with {theirs.code}: {theirs.errors}")
    named = {line.split()[0] for line in theirs.lines}
    check(len(named) == len(theirs.lines) < len(items), f"ProcessPoolExecutor gave {len(theirs.lines)} results")
    return theirs, len(items)


def show(n_jobs, size):
    names, wrong = accidents.make_items(size.calls)
    n = len(names)
    screen.title(f"3. {n:,} calls with results, of which {len(wrong)} go wrong")
    screen.say("Three crash, two hang, two take too much memory, and one raises ValueError. The ordinary way is a "
               "ProcessPoolExecutor. It has no time limit for a call, so the two that hang are left out here.")
    screen.show(f"concurrent.futures.ProcessPoolExecutor({n_jobs})")
    theirs, n_theirs = run_theirs(names, wrong, n_jobs)
    lost = n_theirs - len(theirs.lines)
    screen.say(f"{len(theirs.lines)} of {n_theirs:,} items have a result or an error of their own. Then one crashed, "
               f"and the {lost} others have one and the same error, which names no item:")
    screen.show(theirs.errors.splitlines()[-1])
    screen.show(f"forkserver.Executor({n_jobs}, timeout={accidents.TIMEOUT:g}, memory={accidents.MEMORY >> 20} << 20)")
    ours, results, errors = run_ours(names, wrong, n_jobs)
    check_ours(names, wrong, results, errors)
    screen.say(f"{len(results)} items have their results, and {len(errors)} have errors of their own, after "
               f"{screen.seconds(ours.seconds)}:")
    tell_errors(errors)
    return (f"{n:,} calls, {len(wrong)} go wrong: answered", f"{len(theirs.lines)} of {n_theirs:,}",
            f"{len(results) + len(errors):,} of {n:,}", f"{lost} more")
