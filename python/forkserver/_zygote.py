# SPDX-License-Identifier: MIT
"""The zygote, and its children: what runs in a Python interpreter that a fork server started."""

import atexit
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

_data = None  # what the parent has told
_main = {}  # how to find the main module, if it is to be preloaded and could not be
_MAIN = ("init_main_from_name", "init_main_from_path")
_line_buffered = None  # of standard output; None: it isn't a text file
_twister = None  # see _find_twister()
_rehearsal = None  # see _make_rehearsal()
_handled = ()  # signals with handlers in Python
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
    global _line_buffered, _handled, _twister, _rehearsal
    _prepare("log_to_stderr", "log_level")  # again: modules may have changed it; a second handler would say all twice
    if dict(os.environ._data) == _c_environment():
        _native.remember_environment()
    _line_buffered = getattr(sys.stdout, "line_buffering", None)
    _handled = tuple(number for number in signal.valid_signals() if callable(signal.getsignal(number)))
    _twister = _find_twister()
    _rehearsal = _make_rehearsal()
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
    os._exit(_native.zygote(_preload, _loaded, _rehearse, _standby, _run))


# ---- in a child that is thrown away ----


def _nothing():
    pass


def _make_rehearsal():
    """The message for a process that does nothing. It is made in the zygote: the rehearsal is to do what a child does, and no more."""
    counter, process._process_counter = process._process_counter, itertools.count(1)
    try:
        made = stock_context.ForkServerProcess(target=_nothing)
        set_spawning_popen(made)
        return pickle.dumps(None) + reduction.ForkingPickler.dumps(made).tobytes()
    except Exception:
        return None  # a module has changed something: then nothing is rehearsed
    finally:
        set_spawning_popen(None)
        process._process_counter = counter


def _rehearse():
    """All that a child does, for a process that does nothing: the pages that it writes to are copied ahead in each standby. It leaves
    the interpreter as after its end, where finalizers and ThreadPoolExecutor.submit() do not work any more."""
    if _rehearsal is None:
        return
    util._logger = None  # nobody is to hear of it
    _standby()
    reader, writer = os.pipe()
    _serve([writer], _rehearsal, None, reader)


# ---- in a standby ----


def _find_twister():
    """Where numpy.random's generator has its state; None: it isn't loaded, or is none of the usual kind."""
    try:
        generator = sys.modules["numpy.random"].mtrand._rand
        state = generator.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            return None
        generator.set_state({**state, "has_gauss": 0})  # normal numbers come in pairs: no second one of ours in each child
        return generator._bit_generator.ctypes.state_address
    except (AttributeError, KeyError):
        return None


def _standby():
    """Ahead of the request, off the client's way."""
    # Else siblings would draw the same numbers; `random` sees to that by itself.
    if _twister is not None:
        _native.reseed(_twister)
    elif "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


# ---- in a worker ----

def _c_environment():
    words = (word.partition(b"=") for word in _native.c_environment())
    return {name: value for name, separator, value in words if separator}


def _take_environment():
    """os.environ as the client's is now."""
    if _native.environment_is_new():
        store = os.environ._data
        store.clear()
        store.update(_c_environment())


def _take_signals():
    """What Python remembers of signals is of the zygote."""
    for number in _native.install_handlers(_handled, _IGNORED_BY_SERVER):
        signal.signal(number, signal.SIG_IGN)


def _take_streams():
    """Standard output may be another than the zygote's, or none."""
    for fd in _native.fill_streams():
        setattr(sys, ("stdin", "stdout", "stderr")[fd], None)  # as in an interpreter that starts so
    if _line_buffered is not None and os.isatty(1) != _line_buffered:
        try:
            sys.stdout.reconfigure(line_buffering=not _line_buffered)
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
            preparation = pickle.load(source)
            spawn.prepare(preparation or _main)
            process_object = pickle.load(source)
    finally:
        del process.current_process()._inheriting
    return process_object._bootstrap(parent_sentinel=sentinel)
