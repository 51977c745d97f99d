# SPDX-License-Identifier: MIT
"""The zygote: a Python interpreter that a fork server started. _child.py is what its children run."""

import atexit
import gc
import importlib
import itertools
import os
import pickle
import signal
import sys

from multiprocessing import context as stock_context
from multiprocessing import forkserver as stock
from multiprocessing import process, reduction, spawn, util
from multiprocessing.context import set_spawning_popen

from . import _child, _environment, _generators, _immortal, _native, install
from ._popen import prepared
from ._server import PREPARE

_data = None  # what the parent has told
_is_heir = False  # this process has imported the main module, for all children
_logs = False  # logging is loaded for all children, but not by a module of the program's
_POOL_SIZE = 16384 if sys.version_info >= (3, 10) else 4096
_IGNORED_BY_SERVER = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP,
                      signal.SIGTERM)


def main():
    """Runs the whole life of the zygote and of its children."""
    global _data
    with open(_native.DATA_FD, "rb") as file:
        _data = pickle.load(file)  # see ForkServer._new_handle()
    _child.main.update(_data["main"])
    if _data["prepare"] is not None:
        from . import _calls

        _calls.to_prepare = _data["prepare"]
    # The interpreter met them as ignored by the server, when it started.
    for number in _IGNORED_BY_SERVER:
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
    if os.environ.get("LD_BIND_NOW") == "forkserver":
        del os.environ["LD_BIND_NOW"]  # the server's, for this process alone
    install(default=False)
    stock._forkserver.set_prepared(_data["prepared"])
    _prepare()
    _import_common()
    _native.remember_begin()
    _environment.watch()
    _generators.watch(_data["numpy"])
    _exits.begin()
    code = _native.zygote(_preload, _loaded, _child.rehearse, _child.run)
    if code != 0:  # else another process is the zygote now
        _exits.run()
    _child.real_exit(code)


def _prepare(*without):
    """Sets what is true of most children, so that it need not be done in each; but not the main module."""
    data = _data["preparation"]
    spawn.prepare({name: list(value) if isinstance(value, list) else value for name, value in data.items()
                   if name not in without})


def _import_common():
    """Imports what children will import anyway. A module that isn't there is no fault: a child that needs it meets
    that."""
    global _logs
    for name in _data["modules"]:
        try:
            importlib.import_module(name)
        except Exception:
            pass
    _logs = "logging" in sys.modules
    weakref = sys.modules.get("weakref")
    if weakref is not None:
        weakref.finalize._registered_with_atexit = False  # what is made in a child is that child's to finalize


class _ExitFunctions:
    """Collects exit functions of preloaded modules. They run in the zygote, where they were loaded, when the server
    ends."""

    def __init__(self):
        self.registered = []
        self.real = None

    def begin(self):
        self.real = atexit.register, atexit.unregister

        def register(function, *args, **options):
            self.registered.append((function, args, options))
            return self.real[0](function, *args, **options)

        def unregister(function):
            self.registered = [entry for entry in self.registered if entry[0] != function]
            self.real[1](function)

        atexit.register, atexit.unregister = register, unregister

    def end(self):
        if self.real is not None:
            atexit.register, atexit.unregister = self.real
            self.real = None

    def run(self):
        for function, args, options in reversed(self.registered):
            try:
                function(*args, **options)
            except BaseException:
                sys.excepthook(*sys.exc_info())
        util._run_finalizers()
        util._flush_std_streams()


_exits = _ExitFunctions()


def _forget_exit_functions():
    """Forgets exit functions. Since 3.13 a child of CPython's fork server runs exit functions, but none that a
    preloaded module has registered. Those of a child's own imports stay: here that of `logging`."""
    _exits.end()
    if sys.version_info >= (3, 13):
        atexit._clear()
        atexit.register(util._exit_function)
        if _logs:
            atexit.register(sys.modules["logging"].shutdown)


# ---- modules ----


def _preload(name):
    """Preloads a module. Returns None, or a sentence: why each process has to load it by itself."""
    if name == "__main__":
        return _preload_main()
    if name == PREPARE:
        return _make_ready()
    try:
        importlib.import_module(name)
    except BaseException:
        if _data["policy"] != 2:
            sys.excepthook(*sys.exc_info())
        raise
    return None


def _preload_main():
    global _is_heir
    from . import _trial

    _forget_exit_functions()
    _prepare("log_to_stderr", "log_level")  # before it, as in a child: what it changes itself stays
    why = _trial.run(_child.main, loud=_data["policy"] == 1)
    _is_heir = why is None
    if _is_heir and _data["prepare"] is not None:
        _make_ready()  # the function may be there
    return why


def _make_ready():
    """Calls the function that prepares calls. If it cannot be found yet, or raises, each process does it, where that
    is the exception of the call."""
    from . import _calls

    try:
        _calls.make_ready()
    except BaseException:
        pass


def _loaded():
    """Ends the loading. Returns what is to be called in each standby, if anything."""
    if not _is_heir:
        _forget_exit_functions()
        # again: modules may have changed it; a second handler would say all twice
        _prepare("log_to_stderr", "log_level")
    # until a child has got its process object, which is the current one then
    process.current_process()._inheriting = True
    # a directory that isn't there may be made before a child is
    for path in [path for path, finder in sys.path_importer_cache.items() if finder is None]:
        del sys.path_importer_cache[path]
    is_usual = sys.stdout is sys.__stdout__ and not getattr(sys.stdout, "write_through", True)
    _child.changes = _environment.changes()
    _native.remember(bool(_child.changes), sys.stdout.line_buffering if is_usual else None)
    reseed = _generators.find_reseed()
    _child.server = stock._forkserver  # modules may have called install()
    _child.rehearsal = _make_rehearsal()
    _child.close_stdin_once()
    # Buffers that were not flushed would be written by every child again.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    # What is there now is never garbage: a collection in a child would write to every page of it.
    gc.collect()
    _immortal.make()
    _native.fill_pools(_POOL_SIZE)
    gc.freeze()
    return reseed


# ---- for the rehearsal ----


def _nothing():
    pass


def _make_rehearsal():
    """Makes the message for a process that does nothing. It is made in the zygote: the rehearsal is to do what a
    child does, and no more."""
    counter, process._process_counter = process._process_counter, itertools.count(1)
    try:
        made = stock_context.ForkServerProcess(target=_nothing)
        set_spawning_popen(made)
        return prepared(made._name) + reduction.ForkingPickler.dumps(made).tobytes()
    except Exception:
        return None  # a module has changed something: then nothing is rehearsed
    finally:
        set_spawning_popen(None)
        process._process_counter = counter
