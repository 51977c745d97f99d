# SPDX-License-Identifier: MIT
"""Tasks of a Dask cluster, each in a fresh process of its worker's own fork server.

Told by the client, for every worker that is there or will come::

    client.register_worker_plugin(forkserver.dask.Processes(preload=["numpy"], timeout=60))
    with dask.annotate(executor="processes"):
        futures = client.map(parse, names, retries=2)

Or told by the command that starts a worker, for all tasks that it gets::

    dask worker tcp://… --preload forkserver.dask --fork-preload numpy --fork-default

Dask chooses the worker, keeps the data, tries again, and meets the loss of a node. A worker has one fork server, and
one process for each task."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence, Tuple

import click
import cloudpickle
from distributed import as_completed, get_worker
from distributed.diagnostics.plugin import WorkerPlugin

import forkserver

_THREADS = "threads"  # the executor that a worker has before us
_IN_FLIGHT = 2  # chunks for each worker, so that none waits for the next one
_COUNTERS = ("running", "done", "died", "zygote_restarts")


class _Executor(forkserver.Executor):
    """Names each process by its task's key, and counts."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.running = self.done = self.died = 0

    def submit(self, fn, /, *args, **kwargs):
        future = super().submit(_run_named, _find_key(), fn, args, kwargs)
        self.running += 1
        future.add_done_callback(self._count)
        return future

    def _count(self, future):
        self.running -= 1
        if not future.cancelled() and isinstance(future.exception(), (forkserver.WorkerDied, TimeoutError)):
            self.died += 1
        else:
            self.done += 1

    @property
    def zygote_restarts(self):
        return self._tasks.server.stats().get("zygote_restarts", 0)


def _find_key():
    """Returns the key of the Dask task that is being sent. Dask names the asyncio task by it."""
    try:
        name = asyncio.current_task().get_name()
    except (AttributeError, RuntimeError):  # we are called by no task of asyncio
        return ""
    return name[len("execute("):-1] if name.startswith("execute(") else ""


def _run_named(key, fn, args, kwargs):
    """In the task's process."""
    if key:
        from distributed.proctitle import setproctitle

        setproctitle(f"dask task {key}")
        with open("/proc/self/comm", "wb", buffering=0) as file:
            file.write(key.encode("utf-8", "replace")[:15])  # as much as the kernel keeps
    return fn(*args, **kwargs)


def _nothing():
    pass


class Processes(WorkerPlugin):
    """A worker plugin that gives each worker an executor of processes, for tasks with that annotation.

    preload: modules that are imported once, before all tasks. name: that of the executor, in annotations. default:
    tasks without an annotation go there as well; those with executor="threads" don't. timeout, memory: limits of each
    task, as in forkserver.Executor, which takes the options, too.

    A task whose process dies fails with forkserver.WorkerDied, and Dask's retries= counts it. A second registration of
    the same name, `client.restart()` and `client.upload_file()` begin with new processes, so no task runs old code.

    A registration raises what a worker raises: another version of forkserver there, or with on_error="fail" a module
    that cannot be imported. Dask keeps the plugin all the same, and no new worker starts with it. Take it back by
    `client.unregister_worker_plugin("forkserver-" + name)`."""

    def __init__(self, preload: Sequence[str] = (), *, name: str = "processes", default: bool = False,
                 timeout: Optional[float] = None, memory: Optional[int] = None, **options: Any) -> None:
        self.executor_name, self.default = name, default
        self.name = f"forkserver-{name}"  # of the plugin, as Dask wants it
        # "distributed.worker" has the function by which a worker calls a task's
        self.options = {"preload": ["distributed.worker", __name__, *preload], "timeout": timeout, "memory": memory,
                        "main": None, "pickler": cloudpickle, **options}
        self.version = forkserver.__version__
        self.executor = None  # the worker's

    async def setup(self, worker) -> None:
        if self.version != forkserver.__version__:
            raise RuntimeError(f"the client has forkserver {self.version}, and the worker {worker.address} has "
                               f"{forkserver.__version__}")
        executor = self._start(worker)
        try:
            await asyncio.wrap_future(executor.submit(_nothing))  # what cannot be loaded is known now
        except BaseException:
            self.teardown(worker)
            raise

    def teardown(self, worker) -> None:
        _of(worker).pop(self.name, None)
        if self.executor is not None:
            self._stop(worker)

    def _start(self, worker):
        self.executor = executor = _Executor(_count_threads(worker), **self.options)
        worker.executors.setdefault(_THREADS, worker.executors["default"])
        worker.executors[self.executor_name] = executor
        if self.default:
            worker.executors["default"] = executor
        for counter in _COUNTERS:
            worker.metrics[f"{self.executor_name}_{counter}"] = lambda _, counter=counter: getattr(executor, counter)
        _watch_uploads(worker)
        _of(worker)[self.name] = self
        return executor

    def _stop(self, worker):
        executors = worker.executors
        if executors.get(self.executor_name) is self.executor:
            del executors[self.executor_name]
        if executors["default"] is self.executor:
            executors["default"] = executors[_THREADS]
        for counter in _COUNTERS:
            worker.metrics.pop(f"{self.executor_name}_{counter}", None)
        self.executor.shutdown(wait=False)
        self.executor = None

    def renew(self, worker) -> None:
        """Gives later tasks a new fork server. Those that were sent before have the old one to their end."""
        self._stop(worker)
        self._start(worker)


def _count_threads(worker):
    return getattr(worker, "state", worker).nthreads


def _of(worker):
    """Returns our plugins of a worker, by name."""
    return worker.__dict__.setdefault("_forkserver_plugins", {})


def _watch_uploads(worker):
    """A module that was uploaded may have been imported by the zygotes."""
    if hasattr(worker, "_forkserver_uploads"):
        return
    worker._forkserver_uploads = upload = worker.upload_file

    async def upload_file(*args, **kwargs):
        result = await upload(*args, **kwargs)
        for plugin in list(_of(worker).values()):
            plugin.renew(worker)
        return result

    worker.upload_file = worker.handlers["upload_file"] = upload_file


@click.command()
@click.option("--fork-preload", multiple=True, help="module to import once, before all tasks; repeatable")
@click.option("--fork-default", is_flag=True, help="all tasks have processes, not only those with the annotation")
@click.option("--fork-timeout", type=float, help="seconds, after which a task's process is killed")
@click.option("--fork-memory", type=int, help="bytes that a task may take more than it has at its start")
async def dask_setup(worker, fork_preload, fork_default, fork_timeout, fork_memory):
    """`dask worker --preload forkserver.dask` calls it."""
    plugin = Processes(fork_preload, default=fork_default, timeout=fork_timeout, memory=fork_memory)
    await worker.plugin_add(plugin, catch_errors=False)


# ---- many short items: a task of Dask's for a chunk of them, a process for each ----


def _run_chunk(function, items, name, retries):
    """In a thread of a worker. Returns (whether it is a value, the value or the exception) for each item, and how long
    all took."""
    begin = time.monotonic()
    executor = get_worker().executors[name]
    outcomes, left = [None] * len(items), list(range(len(items)))
    for tries_left in range(retries, -1, -1):
        futures = [(i, executor.submit(function, items[i])) for i in left]
        left = []
        for i, future in futures:
            error = future.exception()
            outcomes[i] = (False, error) if error else (True, future.result())
            if isinstance(error, (forkserver.WorkerDied, TimeoutError)) and tries_left:
                left.append(i)
    return outcomes, time.monotonic() - begin


class _Chunks:
    """Chunks that are in flight, and how large the next one is to be."""

    def __init__(self, client, function, items, chunksize, seconds, name, retries):
        self.client, self.function, self.name, self.retries = client, function, name, retries
        self.items, self.chunksize, self.seconds = items, chunksize, seconds
        self.size = chunksize or 1
        self.running = {}  # future: its items
        self.has_more = True

    def send(self):
        chunk = list(itertools.islice(self.items, self.size))
        self.has_more = len(chunk) == self.size
        if not chunk:
            return None
        import dask

        with dask.annotate(executor=_THREADS):
            future = self.client.submit(_run_chunk, self.function, chunk, self.name, self.retries, pure=False,
                                        retries=self.retries)
        self.running[future] = chunk
        return future

    def learn(self, n, seconds):
        """The next chunks take so long as they are to; each is at most four times the one before."""
        if self.chunksize is None and n == self.size:
            self.size = max(1, min(4 * n, int(n * self.seconds / max(seconds, 1e-3))))


def map_unordered(client, function: Callable[[Any], Any], items: Iterable[Any], *, chunksize: Optional[int] = None,
                  seconds: float = 5.0, name: str = "processes",
                  retries: int = 2) -> Iterator[Tuple[Any, bool, Any]]:
    """Calls the function with each item, in a process of its own, on the workers that have the plugin.

    Yields (item, True, its value) or (item, False, its exception) as chunks of items end. A task of Dask's has a chunk
    of items, as its scheduler takes about a millisecond for each task. chunksize: so many items; by default as many as
    take some `seconds` on a worker. retries: an item whose process dies is run so many times more, and a chunk whose
    worker is lost as often on another one. So an item of an open chunk may run twice; its value is yielded once."""
    chunks = _Chunks(client, function, iter(items), chunksize, seconds, name, retries)
    all_done = as_completed([])
    try:
        while chunks.has_more or chunks.running:
            room = _IN_FLIGHT * max(1, len(client.scheduler_info()["workers"])) - len(chunks.running)
            while room > 0 and chunks.has_more:
                future = chunks.send()
                if future is not None:
                    all_done.add(future)
                room -= 1
            if not chunks.running:
                return
            future = next(all_done)
            chunk = chunks.running.pop(future)
            outcomes, took = future.result()
            chunks.learn(len(chunk), took)
            for item, (is_value, value) in zip(chunk, outcomes):
                yield item, is_value, value
    finally:
        for future in chunks.running:
            future.cancel()
