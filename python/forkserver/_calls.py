# SPDX-License-Identifier: MIT
"""Calls: a function and its arguments go to a process of its own; its value or its exception comes back."""

from __future__ import annotations

import errno
import faulthandler
import importlib
import mmap
import os
import pickle
import select
import sys
import threading
import time
import traceback

from multiprocessing import context

from . import _native, _parcel, _popen, _server, _status
from ._error import Error

VALUE, EXCEPTION = 0, 1
_MOMENT = 0.005  # seconds
_REPORT_MAX = 1 << 16  # bytes of a crash's report
_TEXT_MAX = 1 << 20  # bytes of an exception's text, which a hostile process can make as long as it likes
# What is said of a process besides how it ended, by the error of fsrv_process_get_result().
_REASONS = {errno.EIO: "", errno.ETIMEDOUT: "", errno.ENODATA: "sent no result",
            errno.EPROTO: "sent what is no result", errno.EMSGSIZE: "sent what is no result"}


class WorkerDied(RuntimeError):
    """The process of a call ended, and gave neither a value nor an exception back.

    status: a forkserver.Status. exit_code, signal, core, rusage, out_of_memory, pid: as there. traceback: where each
    of its threads was when a signal ended it, as faulthandler writes it; "" where that isn't known."""

    def __init__(self, status: _status.Status, traceback: str = "", reason: str = ""):
        super().__init__(status, traceback, reason)
        self.status, self.traceback, self.reason = status, traceback, reason

    def __getattr__(self, name):
        if name in ("pid", "exit_code", "signal", "core", "rusage", "out_of_memory"):
            return getattr(self.status, name)
        raise AttributeError(f"'WorkerDied' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"<forkserver.WorkerDied: {self.status}>"

    def __str__(self) -> str:
        words = str(self.status) + (f", and {self.reason}" if self.reason else "")
        return f"{words}\n{self.traceback}".rstrip("\n")


class RemoteError(RuntimeError):
    """What a function has raised that call_bytes() called: text, with its traceback."""


class _Carrier:
    """Collects the fds that are pickled with a call, and the objects that have to live until the child has its own."""

    DupFd = _popen.DupFd
    method = "forkserver"

    def __init__(self):
        self.fds = []
        self.kept_for_child = []

    def duplicate_for_child(self, fd):
        self.fds.append(fd)
        return len(self.fds) - 1


# ---- in the client ----


def _memfd(name):
    return os.memfd_create(f"forkserver {name}", os.MFD_CLOEXEC)


def _in_memfd(parts):
    """Returns the fd of a memfd with the parts, or raises what memory that is short raises."""
    fd = _memfd("arguments")
    try:
        def make_room(size):
            os.ftruncate(fd, size)
            return memoryview(mmap.mmap(fd, size))

        _parcel.pack(VALUE, parts, make_room)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_limits(timeout, memory):
    if timeout is not None and timeout <= 0:
        raise ValueError("timeout must be a number of seconds above 0")
    if memory is not None and memory <= 0:
        raise ValueError("memory must be a number of bytes above 0")


class Doorbell:
    """Wakes a thread that waits for a call. If check() raises then, the thread gives the call up."""

    _is_open = False

    def __init__(self):
        self._lock = threading.Lock()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_open = True
        self.check = lambda: None

    def ring(self):
        """Any thread may ring, at any time."""
        with self._lock:
            if self._is_open:
                try:
                    os.write(self._writer, b"!")
                except BlockingIOError:
                    pass  # it rings already

    def close(self):
        with self._lock:
            if self._is_open:
                os.close(self._reader)
                os.close(self._writer)
            self._is_open = False

    __del__ = close

    def wait(self, fds, timeout=None):
        """Waits until one of the fds is readable. Returns those that are; none after `timeout` seconds."""
        poll = select.poll()
        for fd in (self._reader, *fds):
            poll.register(fd, select.POLLIN)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.check()
            left = None if deadline is None else max(0, deadline - time.monotonic())
            ready = [fd for fd, _ in poll.poll(None if left is None else left * 1000)]
            if ready != [self._reader]:
                return [fd for fd in ready if fd != self._reader]
            os.read(self._reader, 512)


class Call:
    """A call whose process runs. It is for one thread."""

    def __init__(self, server, what, *, timeout=None, memory=None, attributes=None, pickler=_parcel, is_raw=False):
        """what: (function, its arguments, its keyword arguments)."""
        check_limits(timeout, memory)
        self.has_died = False  # the process, without a result
        self._server, self._pickler, self._timeout, self._is_raw = server, pickler, timeout, is_raw
        self._report = _memfd("report of a crash")
        own = [self._report]  # the fds that are only for the way
        try:
            self._carrier = _Carrier()
            self._events = _popen._memory_events.read()
            self._process = self._spawn(server, what, memory, attributes, own)
            self.pid = self._process.pid
        except BaseException:
            os.close(own[0])
            raise
        finally:
            for fd in own[1:]:
                os.close(fd)

    def _spawn(self, server, what, memory, attributes, own):
        carrier = self._carrier
        with _popen.spawning(carrier):
            parts = _parcel.dump(self._pickler, what)
        if sum(len(memoryview(part)) if type(part) is bytes else part.nbytes for part in parts) > _parcel.LARGE:
            own.append(_in_memfd(parts))
            parts = [None]
        at = len(carrier.fds)
        carrier.fds.extend(own)
        pickled = None if parts[0] is None else bytes(parts[0])
        told = pickled, at, memory, name_pickler(self._pickler), self._is_raw
        made = context._concrete_contexts["forkserver"].Process(target=answer, args=told)
        payload = _popen.dump(made, carrier, server)
        return server.spawn(carrier.fds, payload, flags=_native.KILL_ON_CLOSE | _native.RESULT,
                            time_limit=self._timeout or 0.0, attributes=attributes)

    def result(self, doorbell=None):
        """Waits for the end; returns the value, or raises. It is for one call. doorbell: see Doorbell."""
        try:
            self._wait(doorbell)
            kind, parts = _parcel.unpack(self._process.result())
        except Error as error:
            if error.errno != errno.EOWNERDEAD and (error.stage != "result" or error.errno not in _REASONS):
                raise
            raise self._died(_REASONS.get(error.errno, "")) from None
        finally:
            self.give_up()  # if it lives, a signal handler has raised
        return take(self._server, None if self._is_raw else self._pickler, kind, parts)

    def fileno(self):
        """Returns an fd that is readable when the process has ended."""
        return self._process.fileno()

    def has_ended(self):
        return self._process is None or self._process.wait(0) is not None

    def give_up(self):
        """Ends it: if the process lives, it is killed with what it has started."""
        if self._process is not None:
            self._process = self._carrier = None
            os.close(self._report)

    def _wait(self, doorbell):
        try:
            fd = self._process.fileno()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
            while self._process.wait(0) is None:  # there is no fd to wait for it with
                if doorbell is not None:
                    doorbell.check()
                time.sleep(_MOMENT)
        else:
            if doorbell is not None:
                doorbell.wait([fd])
            self._process.wait()

    def _died(self, reason):
        process, self.has_died = self._process, True
        if process.timed_out:
            return timed_out(self._timeout, process.pid)
        killed = process.returncode == -9
        out_of_memory = _popen._memory_events.have_killed_since(self._events) if killed else False
        report = str(os.pread(self._report, _REPORT_MAX, 0), "utf-8", "replace")
        return WorkerDied(_status.status_of(process, out_of_memory), report, reason)


def timed_out(timeout, pid):
    return TimeoutError(f"the call has not ended after {timeout:g} s; process {pid} was killed")


def take(server, pickler, kind, parts):
    """Returns the value that has come, or raises the exception. pickler None: nothing is unpickled."""
    text = str(parts[1][:_TEXT_MAX], "utf-8", "replace") if len(parts) > 1 else ""
    if kind == EXCEPTION:
        if pickler is None:
            raise RemoteError(text.rstrip("\n"))
        _raise_remote(_load_exception(pickler, parts, text), text)
    if pickler is None:
        return parts[0]
    if text:
        server.note_imports(text.split())
    return pickler.loads(parts[0], buffers=parts[2:])


def _load_exception(pickler, parts, text):
    try:
        return pickler.loads(parts[0], buffers=parts[2:])
    except Exception as error:
        _raise_remote(error, text)


def find_pickler(name):
    """Returns what name_pickler() has named."""
    return importlib.import_module(name) if isinstance(name, str) else name or _parcel


def name_pickler(pickler):
    """Returns how a process is told what pickles: a module is named, and None is ours."""
    if pickler is _parcel:
        return None
    return pickler.__name__ if isinstance(pickler, type(os)) else pickler


def _raise_remote(error, text):
    from concurrent.futures.process import _RemoteTraceback

    if not isinstance(error, BaseException):
        error = TypeError(f"a process has raised what is no exception here: {error!r}")
    error.__cause__ = _RemoteTraceback(f'\n"""\n{text}"""')
    try:
        raise error
    finally:
        del error  # its traceback has this frame


# ---- in the worker ----


def answer(pickled, at, memory, pickler, is_raw):
    """Makes the call. at: where its own fds begin among those of the request."""
    fds = _server_fds()[at:]
    faulthandler.enable(fds[0])
    pickler = find_pickler(pickler)
    kind, parts, text = attempt(pickler, lambda: [pickled] if pickled is not None else _map(fds[1]), memory, is_raw)
    try:
        _put(kind, parts, text)
    except Exception as error:  # there is no memory for it
        _put(EXCEPTION, [b""] if is_raw else _dump_exception(pickler, error), _text(error))


def attempt(pickler, find_parts, memory=None, is_raw=False):
    """Calls the function that is pickled in the parts. Returns (kind, the parts of the answer, its text)."""
    there = len(sys.modules)
    limits = None
    try:
        make_ready()
        parts = find_parts()
        function, arguments, keywords = pickler.loads(parts[0], buffers=parts[1:])
        del parts
        if memory is not None:
            limits = _limit_memory(memory)
        value = function(*arguments, **keywords)
        parts = [memoryview(value)] if is_raw else _parcel.dump(pickler, value)
        return VALUE, parts, _names_since(there)
    except BaseException as error:
        _make_room(error, limits)
        return EXCEPTION, [b""] if is_raw else _dump_exception(pickler, error), _text(error)


def _names_since(there):
    """Returns the packages that the call has imported."""
    if len(sys.modules) == there:
        return ""
    names = [name.partition(".")[0] for name in list(sys.modules)]  # in the order of their import
    return " ".join({name: None for name in names[there:] if name not in names[:there]})


def _server_fds():
    from . import _child

    return _child.server.get_inherited_fds()


def _map(fd):
    room = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    os.close(fd)
    return _parcel.unpack(room)[1]


def _put(kind, parts, text):
    _parcel.pack(kind, [parts[0], text.encode("utf-8", "replace"), *parts[1:]], _native.result_buffer)


def _text(error):
    """Returns the traceback without our own frame."""
    where = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, where and where.tb_next))


def _dump_exception(pickler, error):
    where = error.__traceback__
    try:
        return _parcel.dump(pickler, BaseException.with_traceback(error, None))
    except BaseException as why:  # the error's own code has run
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        return _parcel.dump(_parcel, RuntimeError(f"{name} was raised, which cannot be pickled: {_say(why)}"))
    finally:
        BaseException.with_traceback(error, where)


def _say(error):
    try:
        return str(error)
    except BaseException:
        return type(error).__qualname__


def _make_room(error, limits):
    """Makes room to tell of the error: what has used up all memory may still be held by the frames, or by a module.
    limits: those of the address space as they were before the call, None: it had no limit of its own."""
    if limits:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, limits)
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)  # there may be another limit, a sandbox's


def _limit_memory(more):
    """Limits the address space to what is there and `more` bytes. Returns the limits from before."""
    import resource

    with open("/proc/self/statm", "rb") as file:
        there = int(file.read().split()[0]) * mmap.PAGESIZE
    before = resource.getrlimit(resource.RLIMIT_AS)
    hard = before[1]
    limit = there + more
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
    return before


# ---- what is done before all calls, once ----

to_prepare = None  # (pickler, function), pickled; None: it has been called, or there is none
_prepared = None


def make_ready():
    """Calls what prepares the calls, unless the zygote has done so."""
    global to_prepare, _prepared
    if to_prepare is None:
        return
    pickler, function = pickle.loads(to_prepare)
    _prepared = find_pickler(pickler).loads(function)()
    to_prepare = None


def prepared():
    """In a call: returns what the function has returned that was given as prepare=. Else None."""
    return _prepared


# ---- what an executor's tasks are; here, since the zygote has this module ----


def with_initializer(initializer, initargs, fn, args, kwargs):
    initializer(*initargs)
    return fn(*args, **kwargs)


def process_chunk(fn, chunk):
    return [fn(*args) for args in chunk]
