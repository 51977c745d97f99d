# SPDX-License-Identifier: MIT
"""What the tasks of dask.py do; on the nodes' paths, so that it is pickled by name and can be preloaded."""

import os
import signal
import subprocess
import sys
import time


def note(directory, item):
    """Each start of an item is one line; it is written at once, and by all nodes into one file."""
    line = f"{item} {os.uname().nodename}\n".encode()
    fd = os.open(os.path.join(directory, "starts"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line)
    os.close(fd)


def work(directory, bad, seconds, item):
    """bad: how items end that don't end well."""
    note(directory, item)
    time.sleep(seconds)
    how = bad.get(item)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit":
        os._exit(3)
    if how == "hang":
        time.sleep(1000)
    return item * item


class Work:
    """work() with all but its item."""

    def __init__(self, directory, bad=None, seconds=0.0):
        self.arguments = str(directory), bad or {}, seconds

    def __call__(self, item):
        return work(*self.arguments, item)


def sleep(seconds, _item):
    time.sleep(seconds)


def count(_item):
    """Something that needs numpy."""
    import numpy

    return int(numpy.arange(1000).sum())


def count_in_program(_item):
    code = "import numpy; print(int(numpy.arange(1000).sum()))"
    return int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)
