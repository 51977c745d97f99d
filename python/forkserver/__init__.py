# SPDX-License-Identifier: MIT
"""Forkserver: load modules and data once, and run every process fresh from there.

With most programs unchanged: ``python3 -m forkserver script.py``.

By one line: ``forkserver.install()``. Then multiprocessing's "forkserver" start method uses libforkserver, and is the
default.

With FORKSERVER_INSTALL=1 in the environment every interpreter that finds this package in its site directory does
that when it starts. A program that never imports multiprocessing has next to no cost from any of these."""

# Every interpreter with FORKSERVER_INSTALL=1 imports this file, and compiles no other for it: what isn't needed by all
# of them is imported where it is.
import sys

TYPE_CHECKING = False  # type checkers take it for true; `typing` would cost every program 7 ms
if TYPE_CHECKING:
    from ._api import Process, Server
    from ._calls import RemoteError, WorkerDied, prepared
    from ._error import Error
    from ._executor import Executor
    from ._pool import Pool
    from ._sandbox import Rule, Sandbox

__all__ = ["Error", "Executor", "Pool", "Process", "RemoteError", "Rule", "Sandbox", "Server", "Status", "WorkerDied",
           "__version__", "install", "installed", "prepared", "register_joblib", "stats", "status", "uninstall"]

_chosen = None  # install()'s arguments, while it is in force
_hook = None  # what waits for multiprocessing


def install(*, default: bool = True, memory: str = "auto") -> None:
    """Makes multiprocessing use this package for its "forkserver" start method.

    With `default` that also becomes the method of programs that choose none. It has to come before the first start,
    which settles the default. A second call can make it the default, and changes nothing else. Where multiprocessing
    has not been imported yet, install() takes effect when it is.

    memory: what is done to the zygote's memory so that forks stay cheap: "auto", "freeze" (which says on standard
    error why it did less), "collapse", "off". Raises RuntimeError when it could not serve, ValueError for another
    word."""
    from . import _check

    _check.check(memory)
    _install(default, memory)


def _install(default=True, memory="auto"):
    """Installs without a check whether we could serve. If we could not, each start raises."""
    global _chosen, _hook
    import _thread

    if _chosen is not None:
        default, memory = default or _chosen[0], _chosen[1]
    _chosen = default, memory
    # Another thread may be about to import it, and have passed the place of our hook.
    if "multiprocessing" in sys.modules or _thread._count():
        from . import _multiprocessing

        _multiprocessing.install(default, memory)
        try:
            from . import _native  # noqa: F401 # if it cannot be loaded, that is to be known now

            _multiprocessing.wait()
        except BaseException:
            uninstall()
            raise
    elif _hook is None:
        _hook = _Hook()
        sys.meta_path.insert(0, _hook)


def uninstall() -> None:
    """Takes install() back. Processes that run go on; the server ends with the last of them."""
    global _chosen
    _chosen = None
    _remove_hook()
    ours = sys.modules.get(__name__ + "._multiprocessing")
    if ours is not None:
        ours.uninstall()


def installed() -> bool:
    """Whether install() is in force."""
    return _chosen is not None


def stats() -> dict[str, object]:
    """Counts what was served. "served": by this process.

    While the server runs, also of the server: server_pid, zygote_pid, spawns, exits, workers, standbys,
    zygote_starts, zygote_restarts, malformed, uptime_ms, memory_frozen, memory_collapsed, memory_left (bytes),
    memory_why. left_out: why each child imports the main module by itself, "" if the zygote has it. trying: whether
    that isn't known yet."""
    ours = sys.modules.get(__name__ + "._multiprocessing")
    return ours.stats() if ours is not None else {"served": 0, "inherited": False}


def register_joblib() -> None:
    """Registers the backend "forkserver" with joblib, for joblib.parallel_backend("forkserver")."""
    from . import _joblib

    _joblib.register()


class _Hook:
    """Installs when multiprocessing is imported for the first time. It is a finder that lets the others find the
    module."""

    def find_spec(self, name, path=None, target=None):
        if name != "multiprocessing" or self is not _hook:
            return None
        for finder in list(sys.meta_path):
            spec = finder.find_spec(name, path, target) if finder is not self and hasattr(finder, "find_spec") else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                    _hide(_Loader.exec_module)
                return spec
        return None


class _Loader:
    """The module's own loader. When it is through, we install."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec) if hasattr(self.loader, "create_module") else None

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader  # we are not to show
        if hasattr(self.loader, "exec_module"):
            self.loader.exec_module(module)
        else:
            exec(self.loader.get_code(module.__name__), module.__dict__)  # zipimport's, before 3.10
        _remove_hook()  # not before: the next import may succeed
        _imported()


def _hide(function):
    """Hides our frames from tracebacks, as the interpreter does with the frames of importing."""
    function.__code__ = function.__code__.replace(co_filename="<frozen importlib._bootstrap>")


def _imported():
    if _chosen is None:
        return  # uninstall() imported multiprocessing, or was called meanwhile
    try:
        import multiprocessing.context
    except ImportError:
        return  # a program's own module of that name
    from . import _multiprocessing

    _multiprocessing.install(*_chosen)
    try:
        _multiprocessing.wait()
    except Exception:
        pass  # it is tried again by the first start, which raises: a program may never get there


def _remove_hook():
    global _hook
    import _thread

    hook, _hook = _hook, None
    # A thread that walks along the list would miss one. So with threads it stays, and finds nothing.
    if hook in sys.meta_path and not _thread._count():
        sys.meta_path.remove(hook)


def __getattr__(name):
    # Later than the package: a program under `python3 -m forkserver` may never need them.
    if name == "Pool":
        from ._pool import Pool

        return Pool
    if name == "Executor":
        from ._executor import Executor

        return Executor
    if name in ("RemoteError", "WorkerDied", "prepared"):
        from . import _calls

        return getattr(_calls, name)
    if name in ("Process", "Server"):
        from . import _api

        return getattr(_api, name)
    if name in ("Rule", "Sandbox"):
        from . import _sandbox

        return getattr(_sandbox, name)
    if name in ("Status", "status"):
        from . import _status

        return getattr(_status, name)
    if name == "Error":
        from ._error import Error

        return Error
    if name == "__version__":
        from . import _native

        return _native.version
    raise AttributeError(f"module 'forkserver' has no attribute '{name}'")
