# SPDX-License-Identifier: MIT
"""How a multiprocessing process object is started."""

import contextlib
import errno
import functools
import io
import os
import sys
import time

from multiprocessing import context, popen_fork
from multiprocessing.context import get_spawning_popen, set_spawning_popen

from ._error import Error
from ._server import lost_status
from ._status import MemoryEvents

_server = None  # the ForkServer; set by install()

# a payload's first byte where no preparation data is needed but the name; else that is a pickle, which begins with
# another
PREPARED = 0


def prepared(name):
    """Returns the beginning of a payload that needs no preparation data."""
    name = name.encode("utf-8", "surrogatepass")
    return bytes((PREPARED,)) + len(name).to_bytes(4, "little") + name


class DupFd:
    """An fd that travels with the process. It is known by its place in the child's list."""

    def __init__(self, index):
        self.index = index

    def detach(self):
        """Returns the fd. Programs that the child executes inherit it, as under CPython's fork server."""
        fd = _server.get_inherited_fds()[self.index]
        os.set_inheritable(fd, True)
        return fd


# What a pickle only names, and what goes with its last owner: a semaphore is unlinked, a manager drops the object.
_NAMED = {"multiprocessing.synchronize": ("SemLock", "__getstate__"),
          "multiprocessing.managers": ("BaseProxy", "__reduce__")}


def _note_named():
    """Makes the start that pickles such an object keep it until its child has it too."""
    for name in [name for name in _NAMED if name in sys.modules]:
        kind, method = _NAMED.pop(name)
        cls = getattr(sys.modules[name], kind)
        setattr(cls, method, _noting(getattr(cls, method)))


def _noting(method):
    @functools.wraps(method)
    def noting(self):
        kept = getattr(get_spawning_popen(), "kept_for_child", None)
        if kept is not None:
            kept.append(self)
        return method(self)
    return noting


@contextlib.contextmanager
def spawning(carrier):
    """What is pickled in it goes to the carrier's process."""
    _note_named()
    set_spawning_popen(carrier)
    try:
        yield
    finally:
        set_spawning_popen(None)


def dump(process_obj, carrier, server):
    """Returns the bytes that the child unpickles. Fds that are pickled on the way go to
    carrier.duplicate_for_child(). Objects that have to live until the child has its own go to
    carrier.kept_for_child."""
    data = server.preparation(process_obj._name)
    buffer = io.BytesIO()
    dump = context.reduction.dump  # of now: a program may set context.reducer
    with spawning(carrier):
        if server.is_prepared(data):
            buffer.write(prepared(process_obj._name))
        else:
            dump(data, buffer)
        dump(process_obj, buffer)
    return buffer.getvalue()  # no copy


_memory_events = MemoryEvents()


class Popen(popen_fork.Popen):
    """The process of a multiprocessing process object.

    Start: Python's signal handlers run while it waits, and may raise. Then the request is withdrawn, and nothing of it
    ever runs. A process that has started by then, but has not reached its process object, is killed, as nothing would
    know of it. A process lives on when its process object goes.

    Threads may start and wait at once, for the same process too. After os.fork() both sides use the server; each of
    them, as ever, only waits for what it has started itself. In a child, processes start from its parent's server."""

    method = "forkserver"
    DupFd = DupFd

    def __init__(self, process_obj):
        self._fds = []
        self._process = self.returncode = self.out_of_memory = None
        self.kept_for_child = []
        try:
            super().__init__(process_obj)
        except BaseException:
            # A traceback may keep us alive.
            self._send_signal(9)
            raise

    def duplicate_for_child(self, fd):
        self._fds.append(fd)
        return len(self._fds) - 1

    def _launch(self, process_obj):
        payload = dump(process_obj, self, _server)
        self._memory_before = _memory_events.read()
        self._process = _server.spawn(self._fds, payload, owner=process_obj, keeper=self)
        self.pid = self._process.pid
        self.sentinel = self._process.fileno()

    def _look(self):
        # Threads may be here at once: each of them finds the same code.
        try:
            code = self._process.wait(0)
        except Error as error:
            if error.errno != errno.EOWNERDEAD:
                raise
            code = lost_status(self.pid)
        if code is not None:
            if code == -9 and self._process.returncode is not None:
                self.out_of_memory = _memory_events.have_killed_since(self._memory_before)
            self.returncode = code
            self.kept_for_child = []

    def poll(self, flag=os.WNOHANG):
        return self.wait(0 if flag == os.WNOHANG else None)

    def wait(self, timeout=None):
        if self.returncode is None:
            self._look()
        if self.returncode is None and (timeout is None or timeout > 0):
            self._wait(timeout)
        return self.returncode

    def _wait(self, timeout):
        from multiprocessing.connection import wait  # of now, and the one that CPython uses: gevent replaces it

        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            if not wait([self.sentinel], None if deadline is None else deadline - time.monotonic()):
                return
            self._look()
            if deadline is not None and time.monotonic() >= deadline:
                return
            if self.returncode is None:
                time.sleep(0.0002)  # its end is known, and how it ended will be in an instant

    def _send_signal(self, sig):
        if self.returncode is None and self._process is not None:
            try:
                self._process.kill(sig)
            except ProcessLookupError:
                pass

    def close(self):
        self._process = None  # and with it the sentinel
