# SPDX-License-Identifier: MIT
"""A process that makes several calls, one after the other."""

from __future__ import annotations

import errno
import fcntl
import itertools
import mmap
import os
import socket
import struct
import time

from multiprocessing import reduction

from . import _calls, _parcel
from ._error import Error

_ENDING = 5.0  # seconds for the exit functions of a process that isn't needed any more
_NUMBER, _FD = struct.Struct("<Q"), struct.Struct("i")
_MESSAGE_MAX = 2 * _parcel.LARGE  # bytes
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_NOW = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC


class Worker:
    """Calls that share a process, up to `left` of them. It is for one thread.

    The process itself is one call, of serve() below. Its calls and their results are messages on a socket. Each has the
    call's number, since a process can have sent anything before, and none is waited for but by the doorbell."""

    def __init__(self, server, left, initializer, initargs, *, timeout, memory, attributes, pickler):
        self.left, self.has_died = left, False
        self._timeout, self._pickler, self._server = timeout, pickler, server
        self._number = 0  # of the call
        self._socket, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            what = (serve, (_Fd(there), _calls.name_pickler(pickler), initializer, initargs), {})
            self._call = _calls.Call(server, what, memory=memory, attributes=attributes, pickler=pickler)
        except BaseException:
            self._socket.close()
            raise
        finally:
            there.close()

    def begin(self, what):
        """Begins a call, whose result() comes next."""
        self.left -= 1
        self._number += 1
        try:
            _send(self._socket, self._number, _calls.VALUE, _parcel.dump(self._pickler, what))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            self._socket.close()  # it has died, or doesn't take its calls; result() finds out
        return self

    def result(self, doorbell):
        """Returns the value of the call that begin() has begun, or raises."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        try:
            kind, parts = self._wait(doorbell, deadline)
        except BaseException:
            self.left = 0
            self._call.give_up()
            self._socket.close()
            raise
        return _calls.take(self._server, self._pickler, kind, parts)

    def _wait(self, doorbell, deadline):
        while True:
            listens = self._socket.fileno() >= 0
            fds = [self._call.fileno()] + [self._socket.fileno()] * listens
            ready = doorbell.wait(fds, None if deadline is None else deadline - time.monotonic())
            if not ready:
                self.has_died = True
                raise _calls.timed_out(self._timeout, self._call.pid)
            answer = _receive(self._socket, self._number, _NOW) if listens else None
            if answer is not None:
                return answer
            if fds[0] in ready:
                self._raise_its_end(doorbell)
            self._socket.close()  # nothing else will come; if it lives, it learns that nothing is heard

    def _raise_its_end(self, doorbell):
        try:
            self._call.result(doorbell)
        finally:
            self.has_died = self._call.has_died
        raise RuntimeError("the process has ended its calls by itself")

    def end(self):
        """Lets the process end by itself."""
        self.left = 0
        self._socket.close()
        deadline = time.monotonic() + _ENDING
        while not self._call.has_ended() and time.monotonic() < deadline:
            time.sleep(0.001)
        self._call.give_up()


class _Fd:
    """A socket as an argument, whatever pickles it."""

    def __init__(self, there):
        self._there = there

    def __reduce__(self):
        return _take_fd, (reduction.DupFd(self._there.fileno()),)


def _take_fd(fd):
    sock = socket.socket(fileno=fd.detach())
    sock.set_inheritable(False)
    return sock


# ---- messages: the call's number, then its parts, or the fd of a sealed memfd with them ----


def _send(sock, number, kind, parts):
    """Never waits: there is one message on its way, and a small one."""
    head, fds = _NUMBER.pack(number), []
    if sum(memoryview(part).nbytes for part in parts) <= _parcel.LARGE:
        head += _parcel.to_bytes(kind, parts)
    else:
        fds.append(_make_file(kind, parts))
    try:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _FD.pack(fd)) for fd in fds]
        sock.sendmsg([head], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)  # socket.send_fds() forgets the flags
    finally:
        for fd in fds:
            os.close(fd)


def _make_file(kind, parts):
    fd = os.memfd_create("forkserver call", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        def make_room(size):
            os.ftruncate(fd, size)
            return memoryview(mmap.mmap(fd, size))

        _parcel.pack(kind, parts, make_room)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)  # pack() has let go of its mapping
    except BaseException:
        os.close(fd)
        raise
    return fd


def _receive(sock, number, flags):
    """Returns (kind, parts), or None at the end. Error with EPROTO: this is no answer to that call."""
    try:
        message, rights, told, _ = sock.recvmsg(_MESSAGE_MAX, socket.CMSG_LEN(_FD.size), flags)
    except (BlockingIOError, ConnectionResetError):
        return None
    fds = [fd for _, _, data in rights for fd, in _FD.iter_unpack(data)]
    if not message and not fds:
        return None
    if told & socket.MSG_CTRUNC and not fds:
        raise OSError(errno.EMFILE, "no fd is left for what came")
    try:
        if message[:_NUMBER.size] != _NUMBER.pack(number):
            raise Error(errno.EPROTO, "what came is no result", "result")
        return _parcel.unpack(_map(fds[0]) if fds else bytearray(message[_NUMBER.size:]))
    finally:
        for fd in fds:
            os.close(fd)


def _map(fd):
    """Nothing can take the bytes away any more, which would be a SIGBUS here."""
    try:
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS:
            return mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        if error.args[0] == errno.ENOMEM:
            raise
    raise Error(errno.EPROTO, "what came is no result", "result")


# ---- in the process ----


def serve(sock, pickler, initializer, initargs):
    """Makes calls until the other end is closed."""
    pickler, owner = _calls.find_pickler(pickler), os.getpid()
    if initializer is not None:
        initializer(*initargs)
    for number in itertools.count(1):
        request = [_receive(sock, number, socket.MSG_CMSG_CLOEXEC)]
        if request == [None]:
            return
        outcome = _calls.attempt(pickler, lambda: request.pop()[1])
        if os.getpid() != owner:
            return  # a child that the function has made and let return
        try:
            _answer(sock, number, pickler, *outcome)
        except (BlockingIOError, BrokenPipeError):
            return  # the function has written there itself
        del outcome


def _answer(sock, number, pickler, kind, parts, text):
    try:
        _send(sock, number, kind, [parts[0], text.encode("utf-8", "replace"), *parts[1:]])
    except Exception as error:  # there is no memory for it, or no fd
        parts = _calls._dump_exception(pickler, error)
        _send(sock, number, _calls.EXCEPTION, [parts[0], _calls._text(error).encode("utf-8", "replace"), *parts[1:]])
