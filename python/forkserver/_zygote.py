# SPDX-License-Identifier: MIT
"""The zygote, and its children: what runs in a Python interpreter that a fork server started."""

import atexit
import gc
import importlib
import io
import os
import pickle
import signal
import sys
import traceback

from multiprocessing import forkserver as stock
from multiprocessing import process, resource_tracker, spawn, util

from . import _native, install

_data = None


# ---- in the zygote ----


def _preload(name):
    try:
        if name == "__main__":
            _preload_main(*_data["main"])
        else:
            importlib.import_module(name)
    except BaseException:
        if _data["policy"] != 2:
            traceback.print_exc()
        raise


def _preload_main(kind, where):
    # So that a start() without a main guard raises instead of forking on and on.
    process.current_process()._inheriting = True
    try:
        if kind == "name":
            spawn._fixup_main_from_name(where)
        else:
            spawn.import_main_path(where)
    finally:
        del process.current_process()._inheriting


def _loaded():
    # Buffers that were not flushed would be written by every child again.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    # What is there now is never garbage: a collection in a child would write to every page of it.
    gc.collect()
    gc.freeze()


def main(data):
    """The whole life of the zygote and its children. `data`: see ForkServer._new_handle()."""
    global _data
    _data = data
    sys.argv[:] = data["sys_argv"]
    process.ORIGINAL_DIR = data["original_directory"]
    os.chdir(data["directory"])
    install(default=False)
    os._exit(_native.zygote(_preload, _loaded, _standby, _run))


# ---- in a standby ----


def _standby():
    """Ahead of the request, off the client's way."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()  # else siblings would draw the same numbers; `random` does this by itself


# ---- in a worker ----


def _take_environment():
    """os.environ as the client's is now."""
    store = os.environ._data
    store.clear()
    for word in _native.c_environment():
        name, separator, value = word.partition(b"=")
        if separator:
            store[name] = value


# What the server ignores, and its zygote's interpreter met as ignored when it started.
_IGNORED_BY_SERVER = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP)


def _take_signals():
    """In the kernel each is at its default, or ignored as the client does: what Python remembers is of the zygote."""
    for number in _IGNORED_BY_SERVER:
        if not _native.is_ignored(number):
            signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


def _take_streams():
    """Standard output may be another than the zygote's."""
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.reconfigure(line_buffering=fd == 2 or os.isatty(fd))
        except (AttributeError, OSError, ValueError):
            pass


def _run(_entry):
    return _serve(_native.inherited_fds(), _native.payload(), _native.data_fd(), _native.lifeline())


def _serve(fds, payload, data_fd, sentinel):
    """The exit code of the process object in `payload`, or in what data_fd yields."""
    try:
        resource_tracker._resource_tracker._fd = fds[0]
        resource_tracker._resource_tracker._pid = None
        stock._forkserver._inherited_fds = fds[1:]
        _take_environment()
        _take_signals()
        _take_streams()
        source = io.BytesIO(payload) if data_fd is None else open(data_fd, "rb", closefd=True)
        if sys.version_info < (3, 13):
            return _bootstrap(source, sentinel)
        # From 3.13 on the exit functions run here, not in process.BaseProcess._bootstrap(); the zygote's are not the child's.
        atexit._clear()
        atexit.register(util._exit_function)
        try:
            return _bootstrap(source, sentinel)
        finally:
            atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        return 1


def _bootstrap(source, sentinel):
    process.current_process()._inheriting = True
    try:
        with source:
            spawn.prepare(pickle.load(source))
            process_object = pickle.load(source)
    finally:
        del process.current_process()._inheriting
    return process_object._bootstrap(parent_sentinel=sentinel)
