# SPDX-License-Identifier: MIT
"""Whether the main module is imported once for all children, or in each: what forkserver.stats() says of it, and what a
child of either kind sees. (both_ways/ has what programs see.)"""

import os
import textwrap
import unittest

from program import Program

# What a main module does at import; what is said of it.
SHOWS = {
    "print('loaded')": "it writes to standard output or error",
    "import os; os.write(2, b'loaded')": "it writes to standard output or error",
    "raise ValueError('at import')": "ValueError: at import",
    "raise SystemExit(3)": "SystemExit: 3",
    "import os; os._exit(0)": "ended the process that loaded it",
    "import os; os.kill(os.getppid(), 0)": "it sends a signal",
    
    "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()": "thread",
    "file = open(__file__)": "script.py open",
    "file = open('made', 'w')": "it opens made for writing",
    "import asyncio; loop = asyncio.new_event_loop()": " open",
    "import socket; pair = socket.socketpair()": " open",
    "import os; os.fork() or os._exit(0)": "it starts a process",
    "import subprocess; subprocess.Popen(['sleep', '9'])": "it starts a process",
    "import tempfile; directory = tempfile.mkdtemp(dir='.')": "it makes a temporary directory",
    "import os; os.mkdir('made')": "it changes files or directories",
    "import os; PID = os.getpid()": "it keeps a process id",
    "import uuid; ID = uuid.uuid4()": "it draws a random value",
    "import random; VALUE = random.random()": "it draws a random value",
    "from random import choice; VALUE = choice('abc')": "it draws a random value",
    "import threading; NUMBER = threading.get_native_id()": "it keeps the number of a thread",
    "import os; PID = int(os.readlink('/proc/self'))": "it keeps a process id",
    "PID = open('/proc/self/stat').read()": "it reads /proc/self/stat",
    "import time; RUN = time.strftime('%H%M')": "it keeps the time of its import",
    "import datetime; RUN = f'run-{datetime.datetime.now():%H-%M-%S}'": "it keeps the time of its import",
    "import time; BEGAN = int(time.time() * 1000)": "it keeps the time of its import, in BEGAN",
    "import random; random.seed(3)": "it seeds the module 'random'",
    "import time; BEGAN = time.time()": "it keeps the time of its import, in BEGAN",
    "import time; BEGAN = time.perf_counter()": "it keeps the time of its import, in BEGAN",
    "import datetime; BEGAN = datetime.datetime.now()": "it keeps the time of its import, in BEGAN",
    "import os; os.chdir('/')": "it changes the working directory",
    "import os; os.umask(0o77)": "it changes the umask",
    "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])": "it blocks signals",
    "import signal; signal.alarm(1000)": "it sets a timer",
    "import sys; sys.stdout.reconfigure(line_buffering=True)": "it changes a standard stream",
    "import multiprocessing; lock = multiprocessing.get_context('forkserver').Lock()": "",
    "import mmap; memory = mmap.mmap(-1, 4096)": "it has memory that its children would share",
    "import multiprocessing; NAME = multiprocessing.current_process().name": "it asks which process it is in",
    "import os\nclass Own: who = os.getpid\nOwn().who": "it keeps hold of a function",
    "import os; KEPT = (os.getpid,)": "it keeps hold of a function",
    "open('\\udcff-x', 'w')": "\\udcff-x for writing",
    "import os\nclass Own: who = staticmethod(os.getpid)": "it keeps hold of a function",
}
SHOWS_NOT = (
    "import json, logging, decimal; data = list(range(100000))",
    "import random, os; generator = random.Random(); other = random.Random(3); from os import getpid",
    "import atexit, weakref; atexit.register(print, end='')",
    "import signal; signal.signal(signal.SIGUSR1, lambda *_: None); signal.signal(signal.SIGHUP, signal.SIG_IGN)",
    "import os; os.environ['SET_BY_MAIN'] = '1'",
    "import faulthandler; faulthandler.enable()",
    "import datetime; LARGE = 2 ** 2048; EVER = datetime.datetime.min",
    "import time; LIMIT = 3600.0; YEAR = 2026; time.time()",
)


PROGRAM = """
import time
def child(): pass
if __name__ == "__mp_main__":
MODULE
if __name__ == "__main__":
    import forkserver
    from multiprocessing import forkserver as server
    server.ensure_running()
    while not forkserver.stats()["zygote_pid"] or forkserver.stats()["trying"] or not forkserver.stats()["standbys"]:
        time.sleep(0.005)
    print(forkserver.stats()["left_out"])
"""

# A module that holds each process that forks at the FIFO "gate", while there is one.
HELD = """
import os
def hold():
    if os.path.exists("gate"):
        open("gate", "rb").read()
os.register_at_fork(after_in_parent=hold)
"""

# The server finds the heir when a standby was killed, before the zygote has told of it.
FOUND = """
import os, signal, time
if __name__ == "__main__":
    import forkserver
    from multiprocessing import forkserver as server
    def wait_for(condition):
        while not (value := condition()):
            time.sleep(0.002)
        return value
    def children():
        pid = forkserver.stats()["server_pid"]
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return {int(word) for word in file.read().split()}
    def at_rest():
        stats = forkserver.stats()
        # the zygote that has handed over has ended, too
        return stats["zygote_pid"] and not stats["trying"] and stats["standbys"] == 4 and len(children()) == 5 and stats
    server.set_forkserver_preload(["__main__", "held"])
    server.ensure_running()
    zygote, before = wait_for(at_rest)["zygote_pid"], children()
    os.mkfifo("gate")
    os.kill(zygote, signal.SIGKILL)
    wait_for(lambda: len(children() - before) == 2)
    standby = min(before - {zygote})
    os.kill(standby, signal.SIGKILL)
    wait_for(lambda: standby not in children())
    gate = os.open("gate", os.O_WRONLY)
    os.rename("gate", "no-more")
    os.close(gate)
    end = time.monotonic() + 10
    while (workers := wait_for(at_rest)["workers"]) and time.monotonic() < end:
        time.sleep(0.01)  # the zygote that has handed over is not reaped yet
    print(workers)
"""


class MainModule(Program):
    def left_out(self, module):
        """What is said of a main module that does this where it isn't the program itself, once it is known."""
        return self.run_silent(PROGRAM.replace("MODULE", textwrap.indent(module, "    "))).rstrip("\n")

    def test_what_shows(self):
        for module, why in SHOWS.items():
            with self.subTest(module):
                self.assertIn(why, self.left_out(module))

    def test_what_does_not(self):
        for module in SHOWS_NOT:
            with self.subTest(module):
                self.assertEqual(self.left_out(module), "")

    def test_heir_that_the_server_finds_before_it_is_told(self):
        """It is one child in the table, and no worker."""
        with open(os.path.join(self.directory.name, "held.py"), "w") as file:
            file.write(HELD)
        self.assertEqual(self.run_silent(FOUND), "0\n")


if __name__ == "__main__":
    unittest.main()
