# SPDX-License-Identifier: MIT
"""A process that makes several calls, one after the other."""

from __future__ import annotations

import time

from multiprocessing import Pipe

from . import _calls, _parcel

_ENDING = 5.0  # seconds for the exit functions of a process that isn't needed any more


class Worker:
    """Calls that share a process, up to `left` of them. It is for one thread.

    The process itself is one call, of serve() below. Its calls and their results go through a pipe."""

    def __init__(self, server, left, initializer, initargs, *, timeout, memory, pickler):
        self.left, self.has_died = left, False
        self._timeout, self._pickler, self._server = timeout, pickler, server
        self._connection, there = Pipe()
        try:
            what = (serve, (there, _calls.name_pickler(pickler), initializer, initargs), {})
            self._call = _calls.Call(server, what, memory=memory)
        except BaseException:
            self._connection.close()
            raise
        finally:
            there.close()

    def begin(self, what):
        """Begins a call, whose result() comes next."""
        self.left -= 1
        message = _parcel.to_bytes(_calls.VALUE, _parcel.dump(self._pickler, what))
        try:
            self._connection.send_bytes(message)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died, as result() finds out
        return self

    def result(self, doorbell):
        """Returns the value of the call that begin() has begun, or raises."""
        try:
            message = self._receive(doorbell)
        except BaseException:
            self.left = 0
            self._call.give_up()
            self._connection.close()
            raise
        kind, parts = _parcel.unpack(message)
        return _calls.take(self._server, self._pickler, kind, parts)

    def _receive(self, doorbell):
        fds = self._connection.fileno(), self._call.fileno()
        ready = doorbell.wait(fds, self._timeout)
        if not ready:
            self.has_died = True
            raise _calls.timed_out(self._timeout, self._call.pid)
        if fds[0] in ready:
            try:
                return bytearray(self._connection.recv_bytes())
            except (EOFError, ConnectionResetError):
                pass
        try:
            self._call.result(doorbell)
        finally:
            self.has_died = self._call.has_died
        raise RuntimeError("the process has ended its calls by itself")

    def end(self):
        """Lets the process end by itself."""
        self.left = 0
        self._connection.close()
        deadline = time.monotonic() + _ENDING
        while not self._call.has_ended() and time.monotonic() < deadline:
            time.sleep(0.001)
        self._call.give_up()


def serve(connection, pickler, initializer, initargs):
    """In the process: makes calls until the other end is closed."""
    pickler = _calls.find_pickler(pickler)
    if initializer is not None:
        initializer(*initargs)
    while True:
        try:
            message = bytearray(connection.recv_bytes())
        except EOFError:
            return
        kind, parts, text = _calls.attempt(pickler, lambda: _parcel.unpack(message)[1])
        connection.send_bytes(_parcel.to_bytes(kind, [parts[0], text.encode("utf-8", "replace"), *parts[1:]]))
        del parts, message
