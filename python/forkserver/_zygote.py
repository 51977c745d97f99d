# SPDX-License-Identifier: MIT
"""The zygote, and its children: what runs in a Python interpreter that a fork server started."""

import atexit
import functools
import gc
import importlib
import io
import itertools
import os
import pickle
import signal
import sys
import traceback

from multiprocessing import context as stock_context
from multiprocessing import forkserver as stock
from multiprocessing import process, reduction, resource_tracker, spawn, util
from multiprocessing.context import set_spawning_popen

from . import _native, install
from ._popen import PREPARED

_data = None  # what the parent has told
_main = {}  # how to find the main module, if it is to be preloaded and could not be
_MAIN = ("init_main_from_name", "init_main_from_path")
_rehearsal = None  # see _make_rehearsal()
_server = None  # the ForkServer of the children
_tracker = resource_tracker._resource_tracker
_null = None  # sys.stdin of each child
_POOL_SIZE = 16384 if sys.version_info >= (3, 10) else 4096
_ATEXIT_RUNS_EXIT_FUNCTION = sys.version_info >= (3, 13)  # before, process.BaseProcess._bootstrap() does
_IGNORED_BY_SERVER = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP)


# ---- in the zygote ----


def _prepare(*without):
    """What is true of most children, and need not be done in each; but the main module."""
    preparation = {name: value for name, value in _data["preparation"].items() if name not in (*_MAIN, *without)}
    spawn.prepare({name: list(value) if isinstance(value, list) else value for name, value in preparation.items()})


def _preload(name):
    try:
        if name == "__main__":
            _preload_main()
        else:
            importlib.import_module(name)
    except BaseException:
        if _data["policy"] != 2:
            traceback.print_exc()
        raise


def _preload_main():
    # So that a start() without a main guard raises instead of forking on and on.
    process.current_process()._inheriting = True
    try:
        spawn.prepare(_main)
    finally:
        del process.current_process()._inheriting
    _main.clear()  # nothing is left to do


def _loaded():
    """Returns what is to be called in each standby, if anything."""
    global _rehearsal, _server
    # until a child has got its process object, which is the current one then
    process.current_process()._inheriting = True
    _server = stock._forkserver  # modules may have called install()
    _prepare("log_to_stderr", "log_level")  # again: modules may have changed it; a second handler would say all twice
    handled = tuple(number for number in signal.valid_signals() if callable(signal.getsignal(number)))
    is_usual = sys.stdout is sys.__stdout__ and not getattr(sys.stdout, "write_through", True)
    _native.remember(
        dict(os.environ._data) == _c_environment(), handled, _IGNORED_BY_SERVER,
        sys.stdout.line_buffering if is_usual else None
    )
    reseed = _find_reseed()
    _rehearsal = _make_rehearsal()
    _close_stdin()
    # Buffers that were not flushed would be written by every child again.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    # What is there now is never garbage: a collection in a child would write to every page of it.
    gc.collect()
    _native.fill_pools(_POOL_SIZE)
    gc.freeze()
    return reseed


def _close_stdin():
    """Once for all children: in each of them, it would write to 35 pages."""
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


def _find_reseed():
    """What gives numpy.random's generator other numbers than its siblings'; `random` sees to that by itself."""
    if "numpy.random" not in sys.modules:
        return None
    try:
        generator = sys.modules["numpy.random"].mtrand._rand
        state = generator.get_state(legacy=False)
        if state["bit_generator"] == "MT19937":
            # normal numbers come in pairs: no second one of ours in each child
            generator.set_state({**state, "has_gauss": 0})
            return functools.partial(_native.reseed, generator._bit_generator.ctypes.state_address)
    except (AttributeError, KeyError):
        pass
    return getattr(sys.modules["numpy.random"], "seed", None)


def main(data):
    """The whole life of the zygote and its children. `data`: see ForkServer._new_handle()."""
    global _data, _main
    _data = data
    _main = {name: value for name, value in data["preparation"].items() if name in _MAIN}
    # The interpreter met them as ignored by the server, when it started.
    for number in _IGNORED_BY_SERVER:
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
    if os.environ.get("LD_BIND_NOW") == "forkserver":
        del os.environ["LD_BIND_NOW"]  # the server's, for this process alone
    install(default=False)
    stock._forkserver.set_prepared(data["preparation"])
    _prepare()
    for name in data["modules"]:
        importlib.import_module(name)
    os._exit(_native.zygote(_preload, _loaded, _rehearse, _serve))


# ---- in a child that is thrown away ----


def _nothing():
    pass


def _make_rehearsal():
    """The message for a process that does nothing. It is made in the zygote: the rehearsal is to do what a child does,
    and no more."""
    counter, process._process_counter = process._process_counter, itertools.count(1)
    try:
        made = stock_context.ForkServerProcess(target=_nothing)
        set_spawning_popen(made)
        return bytes((PREPARED,)) + reduction.ForkingPickler.dumps(made).tobytes()
    except Exception:
        return None  # a module has changed something: then nothing is rehearsed
    finally:
        set_spawning_popen(None)
        process._process_counter = counter


def _rehearse():
    """All that a child does, for a process that does nothing: the pages that it writes to are copied ahead in each
    standby. It leaves the interpreter as after its end, where finalizers and ThreadPoolExecutor.submit() do not work
    any more."""
    if _rehearsal is None:
        return
    util._logger = None  # nobody is to hear of it
    reader, writer = os.pipe()
    _serve([writer], _rehearsal, None, reader, None)


# ---- in a worker ----
#
# Each page that it writes to costs some 2 us, and what it calls or looks at it writes to: a reference count goes up and
# down again.


def _c_environment():
    found = {}
    for word in _native.c_environment():
        name, separator, value = word.partition(b"=")
        if separator:
            found.setdefault(name, value)  # of a name that is there twice, the first counts
    return found


def _catch_up(environment_is_new, ignored, closed, other_buffering):
    """What is not as it was in the zygote: the environment, ignored signals, standard streams that the client has
    closed, standard output that is a terminal or isn't."""
    if environment_is_new:
        os.environ._data.clear()
        os.environ._data.update(_c_environment())
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    for fd in closed:
        setattr(sys, ("stdin", "stdout", "stderr")[fd], None)  # as in an interpreter that starts so
    if other_buffering:
        try:
            sys.stdout.reconfigure(line_buffering=not sys.stdout.line_buffering)
        except (AttributeError, OSError, ValueError):
            pass


def _unpickle(source):
    """The process object, after preparation data."""
    spawn.prepare(pickle.load(source) or _main)
    return pickle.load(source)


def _take_process(payload, data_fd):
    if data_fd is not None:
        with open(data_fd, "rb", closefd=True) as source:
            return _unpickle(source)
    if payload[0] != PREPARED:
        return _unpickle(io.BytesIO(payload))
    if _main:
        spawn.prepare(_main)
    return pickle.loads(payload[1:])


def _serve(fds, payload, data_fd, sentinel, news):
    """The exit code of the process object in `payload`, or in what data_fd yields. `news`: what to catch up with, or
    None."""
    try:
        _tracker._fd, *_server._inherited_fds = fds
        _tracker._pid = None
        if news is not None:
            _catch_up(*news)
        if not _ATEXIT_RUNS_EXIT_FUNCTION:
            return _take_process(payload, data_fd)._bootstrap(sentinel)
        atexit._clear()  # what is registered is the zygote's
        atexit.register(util._exit_function)
        try:
            return _take_process(payload, data_fd)._bootstrap(sentinel)
        finally:
            atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        return 1
