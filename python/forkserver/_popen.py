# SPDX-License-Identifier: MIT
"""What a multiprocessing process object starts through."""

import errno
import io
import os

from multiprocessing import popen_fork, reduction
from multiprocessing.context import set_spawning_popen

from ._error import Error
from ._server import lost_status, preparation

_server = None  # the ForkServer; set by install()

# a payload's first byte where no preparation data is needed; else that is a pickle, which begins with another
PREPARED = 0


class DupFd:
    """An fd that travels with the process: its place in the child's list."""

    def __init__(self, index):
        self.index = index

    def detach(self):
        return _server.get_inherited_fds()[self.index]


def dump(process_obj, carrier, server):
    """The bytes that the child unpickles; fds that are pickled on the way go to carrier.duplicate_for_child()."""
    data = preparation(process_obj._name)
    buffer = io.BytesIO()
    set_spawning_popen(carrier)
    try:
        if server.is_prepared(data):
            buffer.write(bytes((PREPARED,)))
        else:
            reduction.dump(data, buffer)
        reduction.dump(process_obj, buffer)
    finally:
        set_spawning_popen(None)
    return buffer.getvalue()


class Popen(popen_fork.Popen):
    method = "forkserver"
    DupFd = DupFd

    def __init__(self, process_obj):
        self._fds = []
        super().__init__(process_obj)

    def duplicate_for_child(self, fd):
        self._fds.append(fd)
        return len(self._fds) - 1

    def _launch(self, process_obj):
        payload = dump(process_obj, self, _server)
        self._process = _server.spawn(self._fds, payload)
        self.pid = self._process.pid
        self.sentinel = self._process.fileno()

    def _wait(self, timeout):
        # Threads may be here at once: each of them finds the same code.
        if self.returncode is None:
            try:
                code = self._process.wait(timeout)
            except Error as error:
                if error.errno != errno.EOWNERDEAD:
                    raise
                code = lost_status(self.pid)
            if code is not None:
                self.returncode = code
        return self.returncode

    def poll(self, flag=os.WNOHANG):
        return self._wait(0 if flag == os.WNOHANG else None)

    def wait(self, timeout=None):
        return self._wait(timeout)

    def _send_signal(self, sig):
        if self.returncode is None:
            try:
                self._process.kill(sig)
            except ProcessLookupError:
                pass

    def close(self):
        self._process = None  # and with it the sentinel
