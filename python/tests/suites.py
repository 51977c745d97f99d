#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
CPython's own suites, on the stock fork server and on this package, side by side.

usage: suites.py PACKAGE [--few] [SUITE…]     PACKAGE: the directory that holds the forkserver package; --few: of the
                                              suites but the fork server's own, a sample

Each runs in a virtual environment with the package and its .pth file in it, so that every interpreter that a test
starts, with -I too, is under the package. There the stock server's main() is an abort, and each process notes how many
it had served.
"""

import concurrent.futures
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# Since 3.14 two tests ask for the stock server's address and key. Ours has neither: nobody can find it.
SUITES = {
    "test_multiprocessing_forkserver": ["-i", "*.test_forkserver_auth_is_enabled",
                                        "-i", "*.test_forkserver_without_auth_fails"],
    "test_multiprocessing_main_handling": [],
    "test_concurrent_futures": ["-m", "*orkserver*", "-m", "*orkServer*"],
    # These take the default method.
    "test_asyncio.test_events test_asyncio.test_base_events test_asyncio.test_subprocess": [
        "-m", "*test_get_event_loop_new_process*", "-m", "*executor*", "-m", "*test_subprocess*"],
    "test_logging": ["-m", "*ultiprocessing*", "-m", "*QueueListener*"],
    "test_compileall": ["-m", "*worker*", "-m", "*arallel*"],
    "test_fcntl": [],
    # These start no process by multiprocessing. The package is not to show in them.
    "test_faulthandler": [],
    "test_signal": [],
}
SERVES_NONE = {"test_faulthandler", "test_signal"}
if sys.version_info >= (3, 12):
    SERVES_NONE.add("test_fcntl")  # it chooses "spawn"
if sys.version_info < (3, 11):
    SERVES_NONE.add("test_logging")  # what it starts is no process yet
# Of the suites but the fork server's own: a way of starting each, and each kind of test.
SAMPLE = {
    "test_multiprocessing_main_handling": ["-m", "*orkServer*test_basic_script*", "-m",
                                           "*orkServer*test_module_in_package*"],
    "test_concurrent_futures": ["-m", "*orkserver*Wait*", "-m", "*orkserver*Shutdown*", "-m",
                                "*orkserver*AsCompleted*"],
    "test_asyncio.test_events test_asyncio.test_base_events test_asyncio.test_subprocess": [
        "-m", "*CGetEventLoop*test_get_event_loop_new_process*", "-m", "*executor*", "-m", "*SafeChild*"],
    "test_faulthandler": ["-m", "*register*", "-m", "*enable*"],
    "test_signal": ["-m", "*PosixTests*", "-m", "*WakeupSignal*", "-m", "*Siginterrupt*"],
}
LIMIT = 1200 * int(os.environ.get("FORKSERVER_TEST_PATIENCE", "1"))

PROBE = """
import atexit, os

def abort(*args, **kwargs):
    os.write(2, b"the stock fork server was started\\n")
    os.abort()

def note(pid=os.getpid()):
    import forkserver
    served = forkserver.stats()["served"]
    if served:
        with open(os.environ["FORKSERVER_PROBE"], "a") as file:
            file.write(f"{served}\\n")

if "FORKSERVER_PROBE" in os.environ:
    import multiprocessing.forkserver
    multiprocessing.forkserver.main = abort
    atexit.register(note)
"""


def is_there(suite):
    """Some builds of CPython come without its tests, or without some of them."""
    try:
        return all(importlib.util.find_spec(f"test.{name}") for name in suite.split())
    except ModuleNotFoundError:
        return False


def make_environment(directory, package):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = os.path.join(directory, "lib", version, "site-packages")
    shutil.copytree(os.path.join(package, "forkserver"), os.path.join(site, "forkserver"))
    shutil.copy(os.path.join(package, "forkserver.pth"), site)
    with open(os.path.join(site, "forkserver_probe.py"), "w") as file:
        file.write(PROBE)
    with open(os.path.join(site, "forkserver_probe.pth"), "w") as file:
        file.write("import forkserver_probe\n")
    return os.path.join(directory, "bin", "python3")


def run(interpreter, suite, words, **environment):
    """(run, skipped, ok, output)"""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "FORKSERVER_HELPERS")}
    result = subprocess.run([interpreter, "-m", "test", "-v", *suite.split(), *words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
                            errors="replace",
                            env={**clean, **environment})
    ran = re.findall(r"^Ran (\d+) tests? in", result.stdout, re.M)
    skipped = re.findall(r"skipped=(\d+)", result.stdout)
    return sum(map(int, ran)), sum(map(int, skipped)), result.returncode == 0, result.stdout


def compare(interpreter, suite, words, directory):
    probe, begin = os.path.join(directory, suite.split()[0]), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor() as other:
        stock = other.submit(run, interpreter, suite, words)
        ours = run(interpreter, suite, words, FORKSERVER_INSTALL="1", FORKSERVER_PROBE=probe)
        stock = stock.result()
    served = 0
    if os.path.exists(probe):
        with open(probe) as file:
            served = sum(map(int, file))
    good = ours[2] and ours[0] == stock[0] and ours[1] <= stock[1] and (served > 0 or suite in SERVES_NONE)
    print(f"{suite}: stock {stock[0]} run, {stock[1]} skipped; ours {ours[0]} run, {ours[1]} skipped, "
          f"{served} processes served, {time.monotonic() - begin:.0f} s: {'passed' if good else 'FAILED'}", flush=True)
    if not good:
        lines = ours[3].splitlines()
        print("\n".join([line for line in lines
                         if re.search(r"\.\.\. (FAIL|ERROR)|^(FAIL|ERROR|AssertionError)", line)][:40]
                        or lines[-40:]))
    return good


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    # A shell that runs us in the background may have us ignore it, and so the tests that are about it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    package, few = sys.argv[1], "--few" in sys.argv
    suites = [word for word in sys.argv[2:] if word != "--few"] or list(SUITES)
    words = {**SUITES, **(SAMPLE if few else {})}
    for suite in [suite for suite in suites if not is_there(suite)]:
        print(f"{suite}: left out: {sys.executable} came without it")
        suites.remove(suite)
    if not suites:
        return 0
    with tempfile.TemporaryDirectory(prefix="forkserver-suites-") as directory:
        interpreter = make_environment(os.path.join(directory, "venv"), package)
        with concurrent.futures.ThreadPoolExecutor(len(suites)) as pool:  # at the same time: most of a suite is waiting
            results = list(pool.map(lambda suite: compare(interpreter, suite, words[suite], directory), suites))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
