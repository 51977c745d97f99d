# SPDX-License-Identifier: MIT
"""The server behind multiprocessing: one for each process; a child uses its parent's."""

import collections
import os
import pickle
import sys
import threading
import warnings
import weakref

from multiprocessing import process, resource_tracker, spawn, util

from . import _native
from ._error import Error

# What the zygote's interpreter runs. It begins as that of CPython's fork server, by which the hooks of frozen programs
# know it. It leaves no name in __main__, where a program's own names are looked for. The package comes from where it is
# here: neither the zygote's module path, which is still the interpreter's, nor a frozen program's directory need lead
# there.
_START = """\
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
spec = PathFinder.find_spec("forkserver", [{directory!r}])
if spec is not None:
    sys.modules["forkserver"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["forkserver"])
import forkserver._zygote
"""
_BOOTSTRAP = ("from multiprocessing.forkserver import main; del main; exec({start!r}, {{'__name__': 'forkserver'}}); "
              "__import__('sys').modules['forkserver._zygote'].main()")

# What spawn.prepare() knows of; a library that adds to it wants each child to unpickle that.
_KNOWN = ("authkey", "dir", "log_level", "log_to_stderr", "orig_dir", "start_method", "sys_argv", "sys_path")
_MAIN = ("init_main_from_name", "init_main_from_path")

_FOR_CHILDREN = ("multiprocessing.", "concurrent.futures", "forkserver._calls")

PREPARE = "prepare()"  # in the list of modules: the call of the function that Server has as prepare=

_POLICIES = {"warn": 0, "fail": 1, "ignore": 2}
_MANY = 10  # calls that import a package by themselves, until it is named
_ENDING = 0.2  # seconds for a server that ends
_MEMORY = {"auto": 0, "freeze": 1, "collapse": 2, "off": 3}


def helper_directory():
    """Where the package's helper programs are. None: the library has to look for them, as in a build that isn't
    installed."""
    directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libexec")
    return directory if os.path.isdir(directory) and "FORKSERVER_HELPERS" not in os.environ else None


def _preparation(name):
    data = spawn.get_preparation_data(name)
    if data.get("init_main_from_path", "").endswith("<stdin>"):
        del data["init_main_from_path"]  # python3 -: there is no file that the child could run
    return data


def _plain(value):
    """Returns the value in a form that needs no code of other modules: of a class derived from str, the str."""
    if isinstance(value, (list, tuple)):
        return [str.__str__(item) for item in value if isinstance(item, str)]
    if isinstance(value, str):
        return str.__str__(value)
    return bytes(value) if isinstance(value, bytes) else value if type(value) in (bool, int) else None


def _is_plain(value):
    if type(value) is list:
        return all(type(item) is str for item in value)
    return value is None or type(value) in (bool, int, str, bytes, process.AuthenticationString)


def _modules():
    """Returns the modules that children import to find that they are a pool's worker or a main module, and others of
    this kind."""
    common = {"multiprocessing.pool", "multiprocessing.queues", "multiprocessing.synchronize", "runpy", "pkgutil"}
    return [*common, *(name for name in sys.modules if name.startswith(_FOR_CHILDREN))]


def _tracker():
    """Returns the resource tracker's fd. Its own getfd() asks by a message whether it lives, and wakes it for each
    process that starts."""
    fd = resource_tracker._resource_tracker._fd
    return fd if fd is not None and _native.has_reader(fd) else resource_tracker.getfd()


class ForkServer:
    """Stands for `multiprocessing.forkserver._forkserver`, on libforkserver. Methods and private names are the same."""

    def __init__(self, memory="auto", has_main=True, prepare=None, sandbox=None):
        if memory not in _MEMORY:
            raise ValueError(f"memory must be one of {', '.join(_MEMORY)}")
        self._memory = _MEMORY[memory]
        self._sandbox = sandbox  # a _sandbox.Sandbox, or None
        self._has_main = has_main  # False: children do without the main module
        self._imports = collections.Counter()  # packages that calls have imported
        self._prepare = prepare  # see _calls.to_prepare
        self._main = {}  # how children find it
        self._lock = threading.RLock()
        self._null = None
        self._server = None  # the native handle; made by the first call that needs it
        self._server_is_inherited = False
        self._preload_modules = ["__main__"]
        self._policy = _POLICIES["warn"]
        self._inherited_fds = None
        self._forkserver_address = None  # a private server has none
        self._forkserver_alive_fd = None
        self._forkserver_authkey = None  # no other program can find it, so no client has to prove itself
        self._prepared = None  # what a child finds done when it starts
        self._served = 0
        self._finalizer = None
        os.register_at_fork(after_in_child=self._lock._at_fork_reinit)  # as `threading` does with its own

    # ---- the names of the standard module ----

    def set_forkserver_preload(self, modules_names, *, on_error="warn"):
        """Sets the modules that the zygote imports before it serves, in this order.

        on_error: "warn" (a traceback on standard error), "fail" (the next start() raises), "ignore". It takes effect
        with the next process that is started, which comes from a new zygote. TypeError for what is not a list of
        strings."""
        if not all(type(name) is str for name in modules_names):
            raise TypeError("module_names must be a list of strings")
        if on_error not in _POLICIES:
            raise ValueError(f"on_error must be one of {', '.join(_POLICIES)}")
        with self._lock:
            self._preload_modules = list(modules_names)
            self._policy = _POLICIES[on_error]
            if not self._server_is_inherited:
                self._server = None  # the old server ends with its last process

    def get_inherited_fds(self):
        """In a child: the fds of its request, in order. None in any other process."""
        if self._inherited_fds is None and _native.inherited_fds() is not None:
            self._inherited_fds = _native.inherited_fds()[1:]  # the first is the resource tracker's
        return self._inherited_fds

    def ensure_running(self):
        """Starts the resource tracker and the server if they do not run."""
        resource_tracker.ensure_running()
        self._handle().ensure_running()

    def reload(self, timeout):
        self._handle().reload(-1 if timeout is None else timeout)

    def connect_to_new_process(self, fds):
        """Returns (status_r, data_w) of a new process. status_r yields two signed words. Its preparation data and
        its process object are to be written to data_w, as multiprocessing.popen_forkserver does."""
        handle = self._handle()
        result = handle.connect_to_new_process("python:data", [_tracker(), *fds])
        self._served += 1
        return result

    def _stop(self, timeout=-1.0):
        with self._lock:
            handle, self._server = self._server, None
            inherited, self._server_is_inherited = self._server_is_inherited, False
        if handle is not None and not inherited:
            handle.stop(timeout)
        if self._null is not None:
            self._null.close()
            self._null = None

    @property
    def _forkserver_pid(self):
        """None while no server runs."""
        if self._server is None or self._server_is_inherited:
            return None
        return self._server.stats()["server_pid"] or None

    # ---- ours ----

    def preparation(self, name):
        """Returns what a child has to know of this process, as multiprocessing.spawn tells it."""
        data = _preparation(name)
        main = {name: data.pop(name) for name in _MAIN if name in data}
        # At the interpreter's end __main__ has no __file__ any more, and tasks of an executor are still to be run.
        self._main = main or self._main
        return {**data, **self._main} if self._has_main else data

    def set_prepared(self, data):
        """Notes what each child finds done. None: some of what it has to know cannot be told to the zygote."""
        # a copy: sys.argv is told as the list that it is, which may change
        self._prepared = data and {name: value[:] if type(value) is list else value for name, value in
                                   {**data, "name": None, "dir": None}.items()}

    def is_prepared(self, data):
        """Whether spawn.prepare(data) would change nothing in a new child. (Its directory is the client's anyway.)"""
        self._handle()
        return self._prepared is not None and {**data, "name": None, "dir": None} == self._prepared

    def spawn(self, fds, payload, *, flags=0, time_limit=0.0, grace=0.0, owner=None, keeper=None,
              attributes=None):
        """Returns a native process object. `payload`: what the child unpickles. owner, keeper: see _popen.Popen.
        attributes: as _attributes.make() makes them."""
        handle = self._handle()
        self._served += 1
        try:
            # No name of ours: if a signal handler raises, a traceback would keep the process alive by it.
            return handle.spawn([self._trackers_fd(), *fds], payload, entry="python:payload", flags=flags,
                                time_limit=time_limit, grace=grace, owner=owner, keeper=keeper,
                                attributes=attributes)
        except BaseException:
            self._served -= 1
            raise

    def _trackers_fd(self):
        """Returns what children have for the resource tracker. By the tracker a process in a sandbox could remove what
        is not its own."""
        if self._sandbox is None:
            return _tracker()
        if self._null is None:
            self._null = open(os.devnull, "wb", buffering=0)
        return self._null.fileno()

    def run(self, argv, **options):
        return self._handle().spawn((), b"", program=os.fspath(argv[0]), argv=argv, **options)

    def note_imports(self, names):
        """Notes what a call has imported by itself, and says once what many have: packages that somebody has installed,
        or the program's own."""
        library = getattr(sys, "stdlib_module_names", ())  # since 3.10
        names = [name for name in names if name not in library and not name.startswith("_")]
        with self._lock:
            self._imports.update(names)
            often = [name for name, n in self._imports.items() if n == _MANY]
        if often:
            import logging

            logging.getLogger("forkserver").warning("preload these, which %d calls have imported by themselves: %s",
                                                    _MANY, ", ".join(often))
            with self._lock:
                self._imports.update(often)  # they are told of once

    def stats(self):
        numbers = {"served": self._served, "inherited": self._server_is_inherited}
        if self._server is not None and not self._server_is_inherited:
            numbers.update(self._server.stats())
        return numbers

    def _handle(self):
        with self._lock:
            if self._server is None:
                self._server_is_inherited = _native.inherited_fds() is not None
                self._server = _native.inherit() if self._server_is_inherited else self._new_handle()
            return self._server

    def _end_at_exit(self):
        """Ends an idle server before us, so that nothing has to reap it. multiprocessing calls this last at the
        interpreter's end, when its processes have been joined. A server with living processes is not waited for."""
        if self._finalizer is None:
            reference = weakref.ref(self)  # the finalizer must not keep us alive

            def end():
                server = reference()
                if server is not None and server._server is not None and not server._server_is_inherited:
                    server._server.end(_ENDING)

            self._finalizer = util.Finalize(self, end, exitpriority=-1000)

    def _new_handle(self):
        if not all(type(name) is str for name in self._preload_modules):
            raise TypeError("module_names must be a list of strings")
        modules = [name for name in self._preload_modules if name != "__main__"]
        data = self.preparation(None)
        main = {name: data[name] for name in _MAIN if name in data}
        if self._prepare is not None:
            modules.append(PREPARE)
        # python -c, standard input and interactive use have no main module that could be found.
        if "__main__" in self._preload_modules and main:
            modules.append("__main__")
        known = {name: _plain(data[name]) for name in _KNOWN if name in data}
        self.set_prepared(data if all(map(_is_plain, data.values())) else None)
        told = {"preparation": known, "main": main, "prepared": self._prepared and {**known, **main},
                "policy": self._policy, "modules": _modules(), "numpy": "numpy" in sys.modules,
                "prepare": self._prepare}
        self._end_at_exit()
        executable = os.fsdecode(spawn.get_executable())
        start = _START.format(directory=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        argv = [executable, *util._args_from_interpreter_flags(), "-c", _BOOTSTRAP.format(start=start)]
        return _native.private(argv, pickle.dumps(told), modules, self._policy,
                               helpers=helper_directory(), memory=self._memory,
                               sandbox=None if self._sandbox is None else self._sandbox._native)


def lost_status(pid):
    warnings.warn(f"the exit status of process {pid} was lost together with the fork server", RuntimeWarning,
                  stacklevel=3)
    return 255


__all__ = ["Error", "ForkServer", "helper_directory", "lost_status"]
