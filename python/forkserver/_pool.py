# SPDX-License-Identifier: MIT
"""A pool with the methods of multiprocessing's, in which each task has a fresh process."""

from __future__ import annotations

import weakref

from concurrent.futures import CancelledError
from multiprocessing import pool
from typing import Any, Callable, Iterable, Optional, Sequence

from . import _attributes
from ._api import Server
from ._executor import Tasks, count_workers


class Pool(pool.ThreadPool):
    """As multiprocessing.Pool, with a process of its own for each item. (A thread waits for each.)

    processes: so many at a time; by default as many as there are processors. initializer, initargs: called in each
    process before its item. maxtasksperchild: so many items share a process; one by default. preload, timeout, memory,
    retries, server and the other options: as in Executor. A chunk is what a thread takes at once; each of its items has
    a process still.

    terminate() kills what runs. So does the end of a `with` statement, as with multiprocessing.Pool."""

    def __init__(self, processes: Optional[int] = None, initializer: Optional[Callable[..., object]] = None,
                 initargs: Iterable[Any] = (), maxtasksperchild: int = 1, *, preload: Sequence[str] = (),
                 timeout: Optional[float] = None, memory: Optional[int] = None, retries: int = 0,
                 server: Optional[Server] = None, **options: Any) -> None:
        self._state = None  # for __del__() of the standard one, if this raises
        processes = count_workers(processes)
        attributes = {name: options.pop(name) for name in _attributes.NAMES if name in options}
        self._own_server = Server(preload, **options) if server is None else None
        self._tasks = Tasks(server or self._own_server, retries, maxtasksperchild, initializer, initargs,
                            timeout=timeout, memory=memory, attributes=attributes)
        self._doorbells = weakref.WeakSet()
        self._is_over = False
        super().__init__(processes)

    # The methods of multiprocessing.pool.Pool that take a function come down to these.

    def apply_async(self, func, args=(), kwds={}, callback=None, error_callback=None):
        return super().apply_async(self._remote(func), args, kwds, callback, error_callback)

    def _map_async(self, func, *args, **kwargs):
        return super()._map_async(self._remote(func), *args, **kwargs)

    def imap(self, func, iterable, chunksize=1):
        return super().imap(self._remote(func), iterable, chunksize)

    def imap_unordered(self, func, iterable, chunksize=1):
        return super().imap_unordered(self._remote(func), iterable, chunksize)

    def terminate(self) -> None:
        self._is_over = True
        for doorbell in list(self._doorbells):
            doorbell.ring()
        super().terminate()

    def join(self) -> None:
        super().join()
        self._tasks.end_workers()
        if self._own_server is not None:
            self._own_server.close()

    def _remote(self, function):
        def call(*args, **kwargs):
            return self._tasks.call((function, args, kwargs), self._answer_to)
        return call

    def _answer_to(self, doorbell):
        doorbell.check = self._raise_if_over
        self._doorbells.add(doorbell)

    def _raise_if_over(self):
        if self._is_over:
            raise CancelledError()
