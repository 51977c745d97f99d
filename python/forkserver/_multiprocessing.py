# SPDX-License-Identifier: MIT
"""What install() changes in multiprocessing. Its parts are imported when they would be imported without us. One of
them registers an exit function, and the place among the program's own exit functions matters."""

import sys
import threading
import types

import multiprocessing
from multiprocessing import context

_NAMES = ("_forkserver", "ensure_running", "get_inherited_fds", "connect_to_new_process", "set_forkserver_preload")

_STOCK = "multiprocessing.forkserver"

_lock = threading.Lock()
_loading = threading.RLock()
_loader = None  # the thread that has that, by its number
_before = None  # what install() has replaced, in multiprocessing.context
_stock = None  # what complete() has, in multiprocessing.forkserver
_ours = None  # the context that is the default
_memory = None


def install(default, memory):
    """Installs what needs no more of multiprocessing than is there: our starts, and with `default` our default."""
    global _before, _memory, _ours
    with _lock:
        if _before is None:
            _memory = memory
            _before = context.ForkServerProcess.__dict__["_Popen"], context._default_context._default_context
            context.ForkServerProcess._Popen = staticmethod(_start)
        if default:
            # An object of its own, so that what the program chooses can be told from what it only met.
            if _ours is None:
                _ours = type(context._concrete_contexts["forkserver"])()
            context._default_context._default_context = _ours


class _Waiting(types.ModuleType):
    """Stands for multiprocessing.forkserver until something in it is asked for."""

    def __getattr__(self, name):
        _load(self)
        return types.ModuleType.__getattribute__(self, name)

    def __setattr__(self, name, value):
        _load(self)
        types.ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name):
        _load(self)
        types.ModuleType.__delattr__(self, name)


def wait():
    """Puts the rest off until multiprocessing.forkserver is needed for the first time."""
    if _STOCK in sys.modules:
        complete()
        return
    specs = (finder.find_spec(_STOCK, multiprocessing.__path__) for finder in list(sys.meta_path)
             if hasattr(finder, "find_spec"))
    spec = next(filter(None, specs))
    module = _Waiting(_STOCK)
    module.__dict__.update(__spec__=spec, __loader__=spec.loader, __file__=spec.origin, __package__=spec.parent,
                           __cached__=spec.cached)
    sys.modules[_STOCK] = multiprocessing.forkserver = module


def _load(module):
    """Loads the module. Other threads that need it wait."""
    global _loader
    with _loading:
        if type(module) is not _Waiting or _loader is not None:
            return
        _loader = threading.get_ident()
        try:
            if hasattr(module.__loader__, "exec_module"):
                module.__loader__.exec_module(module)
            else:
                exec(module.__loader__.get_code(_STOCK), module.__dict__)  # zipimport's, before 3.10
            complete()
            types.ModuleType.__setattr__(module, "__class__", types.ModuleType)
        finally:
            _loader = None


def complete():
    """Does the rest. Does nothing where all is done."""
    global _stock
    if _stock is not None:
        return
    from multiprocessing import forkserver as stock

    if type(stock) is _Waiting and _loader != threading.get_ident():
        _load(stock)
        return
    from . import _popen, _server

    with _lock:
        if _stock is not None or _before is None:
            return
        server = _server.ForkServer(_memory)
        before = stock._forkserver._preload_modules
        if before != ["__main__"]:
            server.set_forkserver_preload(before)  # chosen before this call
        _stock = {name: getattr(stock, name) for name in _NAMES}
        stock._forkserver = _popen._server = server
        for name in _NAMES[1:]:
            setattr(stock, name, getattr(server, name))
        context.ForkServerProcess._Popen = staticmethod(_popen.Popen)


def _start(process_obj):
    """Starts a process before all was done: the import of multiprocessing could not do it, or is not over."""
    complete()
    return context.ForkServerProcess._Popen(process_obj)


def uninstall():
    global _before, _stock
    with _lock:
        if _before is None:
            return
        if _stock is not None:
            from multiprocessing import forkserver as stock

            stock._forkserver._server = None
            for name, value in _stock.items():
                setattr(stock, name, value)
            _stock = None
        context.ForkServerProcess._Popen, default = _before
        chosen = context._default_context
        if chosen._actual_context is _ours:
            chosen._actual_context = None  # settled by the first start(), not by the program
        chosen._default_context = default
        _before = None


def stats():
    if _stock is None:
        return {"served": 0, "inherited": False}
    return sys.modules[_STOCK]._forkserver.stats()
