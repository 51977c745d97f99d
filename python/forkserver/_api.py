# SPDX-License-Identifier: MIT
"""A small interface beside multiprocessing's: a server, and processes as handles."""

from __future__ import annotations

import os
import pickle
from typing import IO, TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, TypeVar, Union

from multiprocessing import context

from . import _attributes, _calls, _native, _parcel, _popen, _sandbox, _server, _status

if TYPE_CHECKING:
    import resource

Stream = Union[int, IO[Any]]
Result = TypeVar("Result")
Path = Union[str, bytes, "os.PathLike[Any]"]


class Process:
    """A process that a Server made. As a context manager it is killed at the end, if it still runs, and waited for."""

    def __init__(self, native, kept=()):
        self._native = native
        self._kept = kept  # what the pickle of its arguments names

    @property
    def pid(self) -> int:
        return self._native.pid

    @property
    def pidfd(self) -> int:
        """The pidfd. It is borrowed: it is valid as long as this object."""
        return self._native.pidfd

    def fileno(self) -> int:
        """An fd for select and event loops. When it is readable, call wait(0)."""
        return self._native.fileno()

    @property
    def returncode(self) -> Optional[int]:
        """The exit code, minus the signal that ended it, or None before wait() has found out."""
        return self._native.returncode

    @property
    def rusage(self) -> Optional[resource.struct_rusage]:
        """What the process has used: ru_utime and ru_stime in s, ru_maxrss in KiB and so on. None before its end,
        and where it isn't known."""
        return _status.rusage_of(self._native)

    @property
    def timed_out(self) -> bool:
        """Whether the process was killed for its time limit."""
        return self._native.timed_out

    @property
    def refused(self) -> Optional[tuple[int, str]]:
        """How many system calls its sandbox has refused, and the name of the first. None: none, or it still runs."""
        return self._native.refused and self._native.refused[:2]

    def wait(self, timeout: Optional[float] = None) -> Optional[int]:
        """Returns the exit code, minus the signal, or None when the process still runs after `timeout` seconds.
        forkserver.Error with errno EOWNERDEAD: the status was lost together with the server."""
        code = self._native.wait(timeout)
        if code is not None:
            self._kept = ()
        return code

    def kill(self, signal: int = 9) -> None:
        """Sends a signal by pidfd, so never to another process. ProcessLookupError when the process has ended."""
        self._native.kill(signal)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.returncode is None:
            try:
                self.kill()
            except ProcessLookupError:
                pass
            self.wait()

    def __repr__(self):
        return f"<forkserver.Process {self.pid}, returncode {self.returncode}>"


class Server:
    """A private fork server.

    preload: names of modules that its zygote imports once; "__main__" is the program's own main module. on_error: what
    happens when one cannot be imported: "warn", "fail" or "ignore". memory: what is done to the zygote's memory so that
    forks stay cheap: "auto", "freeze", "collapse", "off".

    main: how processes come to the program's main module, where their functions may be. "preload": it is imported once,
    if that shows nowhere, else in each process; with on_error="fail" it is only tried if "__main__" is in `preload`.
    "import": in each process. None: not at all.

    prepare: a function that is called once, after the modules have been imported, and not in each process. In a call
    forkserver.prepared() returns what it has returned. If it cannot be called there (it is a function of a main module
    that cannot be preloaded), or raises, each process calls it before its call.

    pickler: what pickles the functions, arguments and values of calls: a module such as cloudpickle, or an object with
    dumps() and loads() as pickle has. None: multiprocessing's rules.

    sandbox: a Sandbox, which all processes are in. The modules are loaded outside of it.

    All that make a process take keywords for what it is and may do, by the names of subprocess where that has them:
    limits: as {"NOFILE": 64, "AS": (2**30, None)}, by the names of setrlimit(2) without RLIMIT_: a number, or soft and
    hard ones, where None stays as it is. nice: the value itself. cpu_affinity: the numbers of processors. user, group,
    extra_groups: by name or number; each alone is what it says, so with `user` the groups stay what the server has.
    umask. cgroup: the path of a directory of cgroups, version 2. What the system refuses raises Error with stage
    "attributes". The function of a call can have no arguments of these names by keyword.

    Any number of threads may use it. After os.fork() both sides use it. The server ends with close(), and when this
    object and all its processes are gone. Python's signal handlers run while a call waits. If one raises, nothing of
    what was asked for will run."""

    def __init__(self, preload: Sequence[str] = (), on_error: str = "warn", memory: str = "auto",
                 main: Optional[str] = "preload", prepare: Optional[Callable[[], Any]] = None,
                 pickler: Any = None, sandbox: Optional[_sandbox.Sandbox] = None) -> None:
        if main not in ("preload", "import", None):
            raise ValueError('main must be "preload", "import" or None')
        if isinstance(preload, str):
            raise TypeError(f"preload must be a list of module names, as [{preload!r}]")
        if sandbox is not None and not isinstance(sandbox, _sandbox.Sandbox):
            raise TypeError(f"sandbox must be a Sandbox, as Sandbox({sandbox!r})")
        modules = list(preload)
        if main == "preload" and on_error != "fail" and "__main__" not in modules:
            modules.append("__main__")
        self._pickler = pickler or _parcel
        told = None if prepare is None else pickle.dumps((_calls.name_pickler(self._pickler),
                                                          bytes(self._pickler.dumps(prepare, protocol=5))))
        self._server = _server.ForkServer(memory, has_main=main is not None, prepare=told, sandbox=sandbox)
        self._server.set_forkserver_preload(modules, on_error=on_error)

    def spawn(self, function: Callable[..., object], *args: Any, kill_on_close: bool = False, time_limit: float = 0.0,
              grace: float = 0.0, **kwargs: Any) -> Process:
        """Runs function(*args, **kwargs) in a new process. The function and its arguments are pickled.

        kill_on_close: the process ends with its handle. time_limit: seconds, after which it is ended, with the
        processes that it has started; 0: no limit. With `grace` it gets SIGTERM at the limit, and SIGKILL that many
        seconds later. Without, it gets SIGKILL at once."""
        attributes = _attributes.take(kwargs)
        made = context._concrete_contexts["forkserver"].Process(target=function, args=args, kwargs=kwargs)
        carrier = _calls._Carrier()
        payload = _popen.dump(made, carrier, self._server)
        flags = _native.KILL_ON_CLOSE if kill_on_close else 0
        return Process(self._server.spawn(carrier.fds, payload, flags=flags, time_limit=time_limit, grace=grace,
                                          attributes=attributes),
                       carrier.kept_for_child)

    def call(self, function: Callable[..., Result], *args: Any, timeout: Optional[float] = None,
             memory: Optional[int] = None, **kwargs: Any) -> Result:
        """Runs function(*args, **kwargs) in a new process, and returns its value. What it raises is raised here, with
        the traceback of there as its __cause__.

        WorkerDied: the process has crashed, was killed, or has called os._exit(). timeout: seconds, after which the
        process is killed with those that it has started, and TimeoutError is raised. memory: so many bytes the process
        may map more than it has at the start; then it gets MemoryError. They are keywords of this method, so the
        function can have none of these names.

        Function, arguments and value are pickled. Large buffers in them (arrays, memoryviews) come as views of shared
        memory that are written to without harm, and are not copied here. `bytes` are copied."""
        return _calls.Call(self._server, (function, args, kwargs), timeout=timeout, memory=memory,
                           attributes=_attributes.take(kwargs), pickler=self._pickler).result()

    def call_bytes(self, function: Callable[..., Any], *args: Any, timeout: Optional[float] = None,
                   memory: Optional[int] = None, **kwargs: Any) -> memoryview:
        """As call(), for a function that returns bytes or another buffer. They come as they are: nothing that the
        process has sent is unpickled here, so it may be one that hostile data has taken over. What the function raises
        comes as the text of a RemoteError."""
        return _calls.Call(self._server, (function, args, kwargs), timeout=timeout, memory=memory,
                           attributes=_attributes.take(kwargs), pickler=self._pickler, is_raw=True).result()

    def run(self, argv: Sequence[Path], *, env: Optional[Mapping[Any, Any]] = None, cwd: Optional[Path] = None,
            stdin: Optional[Stream] = None, stdout: Optional[Stream] = None, stderr: Optional[Stream] = None,
            kill_on_close: bool = False, time_limit: float = 0.0, grace: float = 0.0, **attributes: Any) -> Process:
        """Runs a program, which is looked up in PATH. env: a dict, or the caller's own. stdin, stdout, stderr: an fd
        or a file, or the caller's own. If the program cannot be executed, this raises Error with stage "exec"."""
        if isinstance(argv, (str, bytes)):
            raise TypeError(f"argv must be a list, as [{argv!r}]")
        actions = []
        for number, stream in enumerate((stdin, stdout, stderr)):
            if stream is not None:
                actions.append((stream if isinstance(stream, int) else stream.fileno(), number))
        words = None if env is None else [f"{os.fsdecode(name)}={os.fsdecode(value)}" for name, value in env.items()]
        flags = _native.KILL_ON_CLOSE if kill_on_close else 0
        return Process(self._server.run(list(argv), env=words, cwd=None if cwd is None else os.fspath(cwd),
                                        actions=actions,
                                        flags=flags, time_limit=time_limit, grace=grace,
                                        attributes=_attributes.make(**attributes)))

    def ensure_running(self) -> None:
        """Starts the server now instead of with the first process."""
        self._server.ensure_running()

    def reload(self, timeout: Optional[float] = None) -> None:
        """Imports what is preloaded anew, and makes what prepare= makes, in a new process beside the one that serves.
        Returns when each later call has that. If it cannot be imported, what was there before stays, and Error says
        why. Calls that run, and calls meanwhile, are not disturbed. A server that does not run has nothing to reload.
        Error with errno ETIMEDOUT after `timeout` seconds; the reload goes on."""
        self._server.reload(timeout)

    def stats(self) -> dict[str, object]:
        return self._server.stats()

    def close(self, timeout: float = 60.0) -> None:
        """Ends the server, and waits until its last process has ended. Error with errno ETIMEDOUT after `timeout`
        seconds."""
        self._server._stop(timeout)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
