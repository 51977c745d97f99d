# SPDX-License-Identifier: MIT
"""
Forkserver: processes from a process that was prepared once.

Without any change to a program: ``python3 -m forkserver script.py``. By one line: ``forkserver.install()`` makes
libforkserver what multiprocessing's "forkserver" start method uses, and that method the default. With
FORKSERVER_INSTALL=1 in the environment every interpreter that finds this package in its site directory does that when
it starts.
"""

from __future__ import annotations

import os
import sys

from ._error import Error

TYPE_CHECKING = False  # type checkers take it for true; `typing` would cost every program 7 ms
if TYPE_CHECKING:
    from ._api import Process, Server

__all__ = ["Error", "Process", "Server", "install", "installed", "stats", "uninstall", "__version__"]

_saved = None
_ours = None  # the context that is the default


def _check() -> None:
    """Raises where install() could not serve."""
    from . import _server

    if not sys.platform.startswith("linux"):
        raise RuntimeError("forkserver needs Linux")
    directory = _server.helper_directory() or os.environ.get("FORKSERVER_HELPERS")
    if directory and not os.access(os.path.join(directory, "forkserver-server"), os.X_OK):
        raise RuntimeError(f"forkserver's helper program is missing: {directory}/forkserver-server")


def install(*, default: bool = True, memory: str = "auto") -> None:
    """Has multiprocessing use this package for its "forkserver" start method; with `default`, makes that the method of
    programs that choose none (and have started nothing yet: the first start settles it). A second call changes nothing.

    memory: what is done to the zygote's memory so that forks stay cheap: "auto", "freeze" (which says on standard error
    why it did less), "collapse", "off".

    Raises RuntimeError when it could not serve, ValueError for another word."""
    global _ours, _saved
    from multiprocessing import context
    from multiprocessing import forkserver as stock

    from . import _popen, _server

    if _saved is None:
        _check()
        names = ("_forkserver", "ensure_running", "get_inherited_fds", "connect_to_new_process",
                 "set_forkserver_preload")
        _saved = {
            "stock": {name: getattr(stock, name) for name in names},
            "popen": context.ForkServerProcess.__dict__["_Popen"],
            "default": context._default_context._default_context,
        }
        server = _server.ForkServer(memory)
        before = stock._forkserver._preload_modules
        if before != ["__main__"]:
            server.set_forkserver_preload(before)  # chosen before this call
        stock._forkserver = _popen._server = server
        for name in names[1:]:
            setattr(stock, name, getattr(server, name))
        context.ForkServerProcess._Popen = staticmethod(_popen.Popen)
    if default:
        # An object of its own, so that what the program chooses can be told from what it only met.
        if _ours is None:
            _ours = type(context._concrete_contexts["forkserver"])()
        context._default_context._default_context = _ours


def uninstall() -> None:
    """Takes install() back. Processes that run go on; the server ends with the last of them."""
    global _saved
    from multiprocessing import context
    from multiprocessing import forkserver as stock

    if _saved is None:
        return
    stock._forkserver._server = None
    for name, value in _saved["stock"].items():
        setattr(stock, name, value)
    context.ForkServerProcess._Popen = _saved["popen"]
    chosen = context._default_context
    if chosen._actual_context is _ours:
        chosen._actual_context = None  # settled by the first start(), not by the program
    chosen._default_context = _saved["default"]
    _saved = None


def installed() -> bool:
    """Whether install() is in force."""
    return _saved is not None


def stats() -> dict[str, object]:
    """What was served: "served" by this process; and of the server, while it runs: server_pid, zygote_pid, spawns,
    exits, workers, standbys, zygote_starts, zygote_restarts, uptime_ms, memory_frozen, memory_collapsed, memory_left
    (bytes), memory_why."""
    from multiprocessing import forkserver as stock

    return stock._forkserver.stats() if _saved is not None else {"served": 0, "inherited": False}


def __getattr__(name):
    # Later than the package: a program under `python3 -m forkserver` may never need them.
    if name in ("Process", "Server"):
        from . import _api

        return getattr(_api, name)
    if name == "__version__":
        from . import _native

        return _native.version
    raise AttributeError(f"module 'forkserver' has no attribute '{name}'")
