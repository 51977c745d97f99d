# SPDX-License-Identifier: MIT
"""A child of the zygote: what it does from its request to its end. Each page that it writes to costs some 2 us. It
also writes to what it calls or looks at, as a reference count goes up and down again."""

import atexit
import os
import pickle
import signal
import sys

from multiprocessing import process, resource_tracker, spawn, util

from . import _environment, _native
from ._popen import PREPARED

main = {}  # how to find the main module, where the zygote has not imported it
server = None  # the ForkServer of the children
changes = []  # to the environment, by modules
rehearsal = None  # the message for a process that does nothing
_tracker = resource_tracker._resource_tracker
_null = None  # sys.stdin of each child
_LARGE = 1 << 16  # bytes of a payload that lie in memory of their own
real_exit = os._exit
_ATEXIT_RUNS_EXIT_FUNCTION = sys.version_info >= (3, 13)  # before, process.BaseProcess._bootstrap() does


def close_stdin_once():
    """Closes sys.stdin in the zygote, once for all children. In each of them that would write to 35 pages."""
    global _null
    stock_close = util._close_stdin
    try:
        stock_close()
    except Exception:
        return  # a module's own sys.stdin: each child meets that itself
    _null = sys.stdin

    def close_stdin():
        if sys.stdin is not _null:
            stock_close()

    util._close_stdin = close_stdin


def rehearse():
    """Does all that a child does, for a process that does nothing. Each standby copies ahead the pages that this
    writes to. It leaves the interpreter as after its end, where finalizers and ThreadPoolExecutor.submit() do not
    work any more. So it is for a child that is thrown away."""
    if rehearsal is None:
        return
    util._logger = None  # the program is not to hear of it
    main.clear()  # nor is the program's own code to run
    reader, writer = os.pipe()
    serve([writer], rehearsal, None, reader, None)


def _catch_up(environment_is_new, ignored, closed, other_buffering):
    """Takes over what has changed since the zygote was prepared: the environment, ignored signals, standard streams
    that the client has closed, and whether standard output is a terminal."""
    if environment_is_new:
        os.environ._data.clear()
        os.environ._data.update(_environment.in_c())
        _environment.apply(changes)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    for fd in closed:
        setattr(sys, ("stdin", "stdout", "stderr")[fd], None)  # as in an interpreter that starts so
    if other_buffering:
        try:
            sys.stdout.reconfigure(line_buffering=not sys.stdout.line_buffering)
        except (AttributeError, OSError, ValueError):
            pass


class _Reader:
    """A file over the payload, for pickle: io.BytesIO would copy it."""

    def __init__(self, payload):
        self.payload, self.at = payload, 0

    def read(self, n=-1):
        begin, self.at = self.at, len(self.payload) if n < 0 else min(self.at + n, len(self.payload))
        return bytes(self.payload[begin:self.at])

    def readinto(self, buffer):
        n = min(len(buffer), len(self.payload) - self.at)
        buffer[:n] = self.payload[self.at:self.at + n]
        self.at += n
        return n

    def readline(self):
        line = self.read(256)  # of the protocols since 2, the shortest of names
        while line and b"\n" not in line and self.at < len(self.payload):
            line += self.read(256)
        end = line.find(b"\n") + 1 or len(line)
        self.at -= len(line) - end
        return line[:end]


def _unpickle(source):
    """Yields the process object, after preparation data."""
    spawn.prepare(pickle.load(source) or main)
    return pickle.load(source)


def _take_process(payload, data_fd):
    if data_fd is not None:
        with open(data_fd, "rb", closefd=True) as source:
            return _unpickle(source)
    try:
        return _take_payload(payload)
    finally:
        if len(payload) > _LARGE:
            payload.release()
            _native.drop_payload()


def _take_payload(payload):
    if payload[0] != PREPARED:
        return _unpickle(_Reader(payload))
    end = 5 + int.from_bytes(payload[1:5], "little")
    process.current_process()._name = str(payload[5:end], "utf-8", "surrogatepass")  # while it imports and unpickles
    if main:
        spawn.prepare(main)
    return pickle.loads(payload[end:])


def serve(fds, payload, data_fd, sentinel, news):
    """Runs the process object in `payload`, or in what data_fd yields; returns its exit code. `news`: what to catch
    up with, or None."""
    try:
        _tracker._fd, *server._inherited_fds = fds
        _tracker._pid = None
        if news is not None:
            _catch_up(*news)
        return _take_process(payload, data_fd)._bootstrap(sentinel)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        return 1
    except BaseException:
        return 1  # as there: sys.exit() before the process object is there says nothing
    finally:
        if _ATEXIT_RUNS_EXIT_FUNCTION:
            atexit._run_exitfuncs()


def run(*request):
    """Calls serve(), and ends by os._exit(), or by the function that a library has put in its place."""
    code = serve(*request)
    if os._exit is not real_exit:
        os._exit(code)
    return code
