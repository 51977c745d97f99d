# SPDX-License-Identifier: MIT
"""An executor in which each task has a fresh process."""

from __future__ import annotations

import collections
import errno
import functools
import itertools
import os
import sys
import threading
import time
from concurrent.futures import _base, process  # noqa: F401 # _calls needs the second; at the end it is too late
from concurrent.futures.thread import ThreadPoolExecutor
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

from . import _attributes, _calls
from ._api import Server

_FULL = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


class Future(_base.Future):
    """A task's future."""

    _doorbell = None  # of the thread that waits for the task's process

    def cancel(self) -> bool:
        """Cancels the task. If it runs already, its process is killed with those that it has started. False: it has
        ended before."""
        with self._condition:
            if self._state != _base.RUNNING:
                return super().cancel()
            self._state = _base.CANCELLED
            self.set_running_or_notify_cancel()  # tells wait() and as_completed()
            self._condition.notify_all()
            if self._doorbell is not None:
                self._doorbell.ring()
        self._invoke_callbacks()
        return True

    def answer_to(self, doorbell):
        with self._condition:
            self._doorbell = doorbell
        doorbell.check = self._raise_if_cancelled

    def _raise_if_cancelled(self):
        if self.cancelled():
            raise _base.CancelledError()

    def end(self, value, error):
        with self._condition:
            self._doorbell = None
        try:
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        except _base.InvalidStateError:
            pass  # it was cancelled while it ran


class Tasks:
    """What the threads of an executor or a pool know. It doesn't refer to that one, which may go before its tasks
    end."""

    def __init__(self, server, retries, reuse, initializer, initargs, *, timeout, memory, attributes):
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if retries < 0:
            raise ValueError("retries must not be negative")
        if reuse < 1:
            raise ValueError("reuse must be at least 1")
        _calls.check_limits(timeout, memory)
        self.reuse, self.workers = reuse, set()
        self.server, self.retries = server, retries
        self.limits = {"timeout": timeout, "memory": memory, "attributes": _attributes.make(**attributes)}
        self.initializer, self.initargs = initializer, tuple(initargs)
        self.waiting = set()  # futures
        self.running = 0  # calls, with those that are being begun
        self.room = sys.maxsize  # for so many calls, as far as is known
        self.lock = threading.Lock()
        self.has_room = threading.Condition(self.lock)
        self.local = threading.local()

    def run(self, future, what):
        """Makes the call of a future's task."""
        with self.lock:
            self.waiting.discard(future)
        value = error = None
        try:
            if future.set_running_or_notify_cancel():
                value = self.call(what, future.answer_to)
        except BaseException as raised:
            error = raised.with_traceback(None)  # it has frames of ours, which keep the future
        future.end(value, error)

    def call(self, what, answer_to):
        """Makes a call, and again if it has to. answer_to: is given the thread's doorbell."""
        if self.initializer is not None and self.reuse == 1:
            what = (_calls.with_initializer, (self.initializer, self.initargs, *what), {})
        options = {"pickler": self.server._pickler, **self.limits}
        begin = functools.partial(self._begin, what, options)
        for tries_left in range(self.retries, -1, -1):
            doorbell, call = self._when_there_is_room(begin)
            try:
                answer_to(doorbell)
                return call.result(doorbell)
            except (_calls.WorkerDied, TimeoutError):
                if not call.has_died or not tries_left:
                    raise
            finally:
                doorbell.close()  # an exception's context may keep it
                self._make_room()

    def _make_room(self):
        if self.room < sys.maxsize and self.reuse > 1:
            self._end_own()  # its fds are for another call
        with self.lock:
            self.running -= 1
            self.room += self.room < sys.maxsize  # perhaps
            self.has_room.notify()

    def _begin(self, what, options):
        """Begins a call. Returns (what to wait with, the call)."""
        doorbell = _calls.Doorbell()
        if self.reuse == 1:
            return doorbell, _calls.Call(self.server._server, what, **options)
        return doorbell, self._find_own(options).begin(what)

    def _find_own(self, options):
        """Returns the thread's own process, which is a new one after so many calls."""
        from ._reuse import Worker

        worker = getattr(self.local, "worker", None)
        if worker is None or worker.left == 0:
            self._end_own()
            worker = self.local.worker = Worker(self.server._server, self.reuse, self.initializer, self.initargs,
                                                **options)
            self.workers.add(worker)
        return worker

    def _end_own(self):
        worker, self.local.worker = getattr(self.local, "worker", None), None
        if worker is not None:
            self.workers.discard(worker)
            worker.end()

    def end_workers(self):
        """Ends the processes that wait for more tasks, which no thread uses any more."""
        while self.workers:
            self.workers.pop().end()

    def _when_there_is_room(self, begin):
        """Where there is no room for one call more (fds, processes), it waits until another has ended."""
        while True:
            with self.lock:
                self.has_room.wait_for(lambda: self.running < self.room)
                self.running += 1
            try:
                return begin()
            except BaseException as error:
                with self.lock:
                    self.running -= 1
                    self.has_room.notify()
                    if not isinstance(error, OSError) or error.errno not in _FULL or self.running == 0:
                        raise
                    self.room = self.running


def _chunks(iterable, size):
    iterator = iter(iterable)
    return iter(lambda: list(itertools.islice(iterator, size)), [])


def count_workers(n):
    if n is None:
        return len(os.sched_getaffinity(0))
    if n <= 0:
        raise ValueError("max_workers must be greater than 0")
    return n


def _remake(pickler, options):
    """Makes an executor in a worker, whose server has all else already."""
    return Executor(**options, main="import", pickler=_calls.find_pickler(pickler))


class Executor(_base.Executor):
    """A concurrent.futures.Executor in which each task has a process of its own.

    max_workers: so many tasks run at a time; by default as many as there are processors. preload, and the options main,
    prepare, pickler and on_error: as in Server.
    initializer, initargs: called in each process before its task. timeout, memory: the limits of each task, as in
    Server.call(). limits, nice, cpu_affinity, user, group, extra_groups, umask, cgroup: of each process, as in Server.
    retries: a task whose process died, or ran out of time, is run so many times more. reuse: so many
    tasks share a process, one after the other. server: a Server to be used instead of one of its own; it isn't closed
    here.

    A process that dies fails its own future, with WorkerDied; the others go on. A future's cancel() kills the task if
    it runs. Tasks can make executors themselves, and an executor can be an argument: there it is one with the same
    options."""

    def __init__(self, max_workers: Optional[int] = None, *, preload: Sequence[str] = (),
                 initializer: Optional[Callable[..., object]] = None, initargs: Iterable[Any] = (),
                 timeout: Optional[float] = None, memory: Optional[int] = None, retries: int = 0,
                 reuse: int = 1, server: Optional[Server] = None, **options: Any) -> None:
        max_workers = count_workers(max_workers)
        attributes = {name: options.pop(name) for name in _attributes.NAMES if name in options}
        self._made_by = dict(max_workers=max_workers, initializer=initializer, initargs=tuple(initargs),
                             timeout=timeout, memory=memory, retries=retries, reuse=reuse, **attributes)
        self._own_server = Server(preload, **options) if server is None else None
        self._max_workers, self._has_submitted = max_workers, False
        self._tasks = Tasks(server or self._own_server, retries, reuse, initializer, initargs, timeout=timeout,
                            memory=memory, attributes=attributes)
        self._threads = ThreadPoolExecutor(max_workers, "forkserver.Executor")

    def __reduce__(self):
        return _remake, (_calls.name_pickler(self._tasks.server._pickler), self._made_by)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future = Future()
        what = (fn, args, kwargs)
        tasks = self._tasks
        with tasks.lock:
            if not self._has_submitted:
                tasks.server._server.preparation(None)  # while it can be known
                self._has_submitted = True
            tasks.waiting.add(future)
        try:
            self._threads.submit(tasks.run, future, what)
        except BaseException:
            with tasks.lock:
                tasks.waiting.discard(future)
            raise
        return future

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 1, buffersize: Optional[int] = None) -> Iterator[Any]:
        """As map(fn, *iterables), in processes. Values come in order.

        timeout: seconds from now for each value to be there; then TimeoutError. chunksize: so many items share a
        process. buffersize: so many chunks are submitted ahead of what has been taken; None: all are, at once. When the
        iterator is closed, or raises, tasks that are not done are cancelled."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        items = zip(*iterables)
        if chunksize == 1:
            tasks = (self.submit(fn, *item) for item in items)
        else:
            tasks = (self.submit(_calls.process_chunk, fn, chunk) for chunk in _chunks(items, chunksize))
        futures = collections.deque(itertools.islice(tasks, buffersize))
        return _values(futures, tasks, deadline, chunksize > 1)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more tasks, and with `wait` waits for those that were submitted and for the server's end.
        cancel_futures: tasks that do not run yet are cancelled."""
        if cancel_futures:
            with self._tasks.lock:
                waiting = list(self._tasks.waiting)
            for future in waiting:
                _base.Future.cancel(future)
        self._threads.shutdown(wait)
        if wait:
            self._tasks.end_workers()
            if self._own_server is not None:
                self._own_server.close()


def _take(future, deadline):
    try:
        return future.result(None if deadline is None else deadline - time.monotonic())
    finally:
        future.cancel()
        del future  # its exception's traceback has this frame


def _values(futures, more, deadline, are_chunks):
    """Yields the values of all; `more`: an iterator that submits one more each time."""
    try:
        while futures:
            values = _take(futures.popleft(), deadline)
            futures.extend(itertools.islice(more, 1))
            values = values[::-1] if are_chunks else [values]
            while values:
                yield values.pop()  # so that it isn't kept here
    finally:
        for future in futures:
            future.cancel()
