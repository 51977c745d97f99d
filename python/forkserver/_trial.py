# SPDX-License-Identifier: MIT
"""The main module, imported once for all children: in a process that becomes the zygote if nothing shows of the
import there. What would show (a thread, an open file, a number drawn, a line written) is as under CPython's fork
server: each child imports the module by itself."""

import contextlib
import gc
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import types

from multiprocessing import process, resource_tracker, spawn, synchronize, util

from . import _child, _generators, _native

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
# The standard library, and this package, wherever it lies.
_LIBRARY = os.path.dirname(os.__file__) + os.sep, os.path.dirname(os.path.abspath(__file__)) + os.sep
_CLOCKS = (time.time, time.monotonic)  # time.perf_counter() is the second


def run(main, loud):
    """Imports the module. Returns None, or a sentence: why each child has to import it. Raises what the module
    raised; loud: with its traceback on standard error. It may not return: then the reason has been told."""
    look, calls, silence = _Look(), _Calls(), _Silence()
    failure = why = None

    def stop(what):
        _unwatch_effects()
        _end(silence, what)
        _native.leave_out(_readable(f"module '__main__': {what}"))

    _watch_effects(stop)
    try:
        _import(main)
    except BaseException as error:
        failure = error
    _unwatch_effects()
    if os.getpid() != look.pid:
        _child.real_exit(0)  # C code has forked, and this is the child
    calls_why, heard = calls.end(), silence.end()
    if failure is None:
        try:
            why = "it writes to standard output or error" if heard else calls_why or look.difference()
        except Exception as error:
            why = f"it cannot be looked at: {error}"
        if why is None:
            main.clear()  # nothing is left to do
            return None
    _end(None, why or f"{type(failure).__name__}: {failure}")
    if failure is None:
        return _readable(f"module '__main__': {why}")
    if loud:
        sys.excepthook(type(failure), failure, failure.__traceback__)
    raise failure


def _end(silence, why):
    """Ends a trial that has failed. Each child of the program's that imports the module will start its own
    processes. (A resource tracker ends by itself, with what it tracks.)"""
    if silence is not None:
        silence.end()
    for pid in _children():
        if pid != resource_tracker._resource_tracker._pid:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    util.info(f"each process imports the main module by itself: {why}")


def _readable(text):
    """Makes a name readable, also if it is no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _import(main):
    """Imports as a child of CPython's fork server does: under a child's name, and with a start() that raises without
    a main guard instead of forking on and on."""
    current = process.current_process()
    name, current._name = current._name, "Process-1"
    current._inheriting = True
    try:
        spawn.prepare(dict(main))
    finally:
        del current._inheriting
        current._name = name


def _children():
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


# ---- output of the module ----


class _Silence:
    """Sends standard output and error nowhere from now on."""

    def __init__(self):
        self.saved = os.dup(2)
        try:
            self.ear = os.memfd_create("forkserver: unheard")
        except OSError:
            self.ear = os.open(os.devnull, os.O_WRONLY)  # then it is not known whether there was any
        for fd in (1, 2):
            os.dup2(self.ear, fd)

    def end(self):
        """Says whether something was written. Standard output is standard error now, so that a reader of the
        program's output does not wait for the zygote's end."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        heard = os.fstat(self.ear).st_size > 0
        for fd in (1, 2):
            os.dup2(self.saved, fd)
        os.close(self.saved)
        os.close(self.ear)
        return heard


# ---- the code that does it ----


def _is_own(path):
    """Whether the code is the program's own, in contrast to a library's."""
    return not (path.startswith((*_LIBRARY, "<")) or "site-packages" in path or "dist-packages" in path)


def _does_it_itself(frame):
    """Whether the program's own code does this, directly or through libraries. In contrast: a library that is being
    imported, which knows of forks, and fills a cache of its own."""
    while frame is not None:
        code = frame.f_code
        if _is_own(code.co_filename):
            return True
        if code.co_name == "<module>" and not code.co_filename.startswith("<"):
            return False
        frame = frame.f_back
    return False


# ---- effects on the world, which is to see them once for each child and never for us ----

_EFFECTS = {
    "socket.connect": "it connects a socket", "socket.bind": "it binds a socket",
    "socket.sendto": "it sends a message", "socket.sendmsg": "it sends a message",
    "sqlite3.connect": "it opens a database",
    "tempfile.mkdtemp": "it makes a temporary directory", "tempfile.mkstemp": "it makes a temporary file",
    "os.kill": "it sends a signal", "os.killpg": "it sends a signal",
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn"),
                    "it starts a process"),
    **dict.fromkeys(("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate",
                     "os.chmod", "os.chown", "os.lchown", "os.utime", "os.setxattr", "os.removexattr"),
                    "it changes files or directories"),
}
_OTHER_IN_EACH = "/proc/self", "/proc/thread-self", "/dev/urandom", "/dev/random"  # files whose contents are
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _watch_effects(stop):
    """Calls stop(what) before any effect."""
    getframe = sys._getframe
    _watch_shared(stop)

    def hook(event, args):
        if event == "import":
            path, what = None, "it opens a database" if args[0] in ("dbm.gnu", "dbm.ndbm") else None
        elif event == "open" and str(args[0]).startswith(_OTHER_IN_EACH):
            path, what = None, f"it reads {args[0]}"
        elif event == "open":
            path, mode, flags = args
            if not (flags & _WRITES if isinstance(flags, int) else set(mode or "") & set("wax+")):
                return
            what = f"it opens {path} for writing"
        else:
            path, what = args[0] if args else None, _EFFECTS.get(event)
        # (the interpreter's own cache of what is being imported)
        if what and path != os.devnull and "__pycache__" not in str(path) and _does_it_itself(getframe(1)):
            stop(what)

    _native.audit_by(hook)
    sys.addaudithook(_native.audit)


_real = []  # what stands for it now: (module or class, name, what it was)


def _watch_shared(stop):
    """Watches for names that all processes know. A resource tracker of ours would remove them, even if they are the
    program's."""
    def stand_in(*args, **options):
        stop("it has memory or semaphores that its children would share")

    named = [(synchronize.SemLock, "__init__")]
    with contextlib.suppress(ImportError):
        import _posixshmem

        named.append((_posixshmem, "shm_open"))
    for owner, name in named:
        _real.append((owner, name, getattr(owner, name)))
        setattr(owner, name, stand_in)
    resource_tracker._resource_tracker._send = stand_in


def _unwatch_effects():
    _native.audit_by(None)
    while _real:
        setattr(*_real.pop())
    del resource_tracker._resource_tracker._send


# ---- values that are different in each process ----


_DRAWS = "it draws a random value"
_TIME = "it keeps the time of its import"


class _Calls:
    """Stands in for functions that give another result in each process."""

    WATCHED = (
        (os, "getpid", "it keeps a process id"),
        (os, "register_at_fork", "it registers what is to be done at a fork"),
        (threading, "get_native_id", "it keeps the number of a thread"),
        (os, "mkfifo", "it makes a file"),
        (os, "mknod", "it makes a file"),
        (os, "urandom", _DRAWS),
        (os, "getrandom", _DRAWS),
        (random, "_urandom", _DRAWS),
        *((random, name, _DRAWS) for name in random.__all__
          if name not in ("Random", "SystemRandom", "seed", "getstate", "setstate")),
        (time, "strftime", _TIME),
        (time, "asctime", _TIME),
        (time, "ctime", _TIME),
        (process, "current_process", "it asks which process it is in"),
        (process, "parent_process", "it asks which process it is in"),
        (multiprocessing, "current_process", "it asks which process it is in"),
        (multiprocessing, "parent_process", "it asks which process it is in"),
    )

    def __init__(self):
        self.why = None
        self.stand_ins = []
        for module, name, why in self.WATCHED:
            self.put(module, name, lambda args, why=why: why if _does_it_itself(sys._getframe(2)) else None)
        self.put(os, "readlink", lambda args: "it keeps a process id" if str(args[0]).startswith("/proc/") else None)
        self.put(random, "seed", lambda args: "it seeds the module 'random'" if args and args[0] is not None else None)

    def put(self, module, name, judge):
        real = getattr(module, name, None)
        if real is None:
            return

        def stand_in(*args, **options):
            self.why = self.why or judge(args or tuple(options.values()))
            return real(*args, **options)

        self.stand_ins.append((stand_in, module, name, real))
        setattr(module, name, stand_in)

    def end(self):
        """Puts the real functions back wherever code has kept a stand-in. Returns why that failed, or what was
        called."""
        for _, module, name, real in self.stand_ins:
            setattr(module, name, real)
        # two references are the tuple's and the argument's
        taken = {id(entry[0]) for entry in self.stand_ins if sys.getrefcount(entry[0]) > 2}
        if taken:
            self._give_back(taken)
        return self.why

    def _give_back(self, taken):
        """Puts the real functions back in all objects, which takes some milliseconds for each function."""
        ours = set(map(id, self.stand_ins))
        for stand_in, _, _, real in self.stand_ins:
            # (no list of arguments: that would be a holder)
            for holder in gc.get_referrers(stand_in) if id(stand_in) in taken else ():
                # a class's dictionary is not to be changed behind its back
                if type(holder) is dict and not any(isinstance(owner, type) for owner in gc.get_referrers(holder)):
                    _replace(holder, stand_in, real)
                elif id(holder) not in ours and not isinstance(holder, types.FrameType):
                    self.why = self.why or "it keeps hold of a function that is another one in each process"


def _replace(names, old, new):
    for name in list(names):
        if names[name] is old:
            names[name] = new


# ---- traces of the import ----


def _fds():
    """All fds but standard output and error, and those that the look itself opens."""
    found = {}
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            if fd not in (1, 2):
                found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


def _shared_mappings():
    """Mappings that several processes could write to. (LLVM's OpenMP notes there that it is loaded, and looks at the
    pid.)"""
    with open("/proc/self/maps") as file:
        return {line for line in file if line.split()[1].startswith("rw-s") and "KMP_REGISTERED" not in line}


def _umask():
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _streams():
    return [(id(stream), getattr(stream, "line_buffering", None)) for stream in (sys.stdin, sys.stdout, sys.stderr)]


def _wakeup_fd():
    fd = signal.set_wakeup_fd(-1)
    if fd >= 0:
        signal.set_wakeup_fd(fd)
    return fd


class _Look:
    """Looks at what a fork hands on, or doesn't, differently from an import in each process."""

    # what is looked at before and after: how it is found out, and what a difference means
    SAME = (
        (os.getcwd, "it changes the working directory"),
        (_umask, "it changes the umask"),
        (os.getresuid, "it changes its user"),
        (os.getresgid, "it changes its group"),
        (lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()), "it blocks signals"),
        (lambda: [signal.getitimer(which)[0] > 0 for which in _TIMERS], "it sets a timer"),
        (_wakeup_fd, "it waits for signals by an fd"),
        (_streams, "it changes a standard stream"),
        (_shared_mappings, "it has memory that its children would share"),
        (_generators.are_fresh, "it seeds numpy.random"),
    )

    def __init__(self):
        self.pid = os.getpid()
        self.modules = dict(sys.modules)
        self.fds = _fds()
        self.before = [find() for find, _ in self.SAME]
        self.clocks = [clock() for clock in _CLOCKS]

    def difference(self):
        """Returns None, or the difference in words."""
        if _children():
            return "it leaves a process running"
        opened = [what for fd, what in _fds().items() if self.fds.get(fd) != what]
        if opened:
            return f"it keeps {opened[0]} open"
        for (find, why), before in zip(self.SAME, self.before):
            if find() != before:
                return why
        return self.time_that_is_kept()

    def time_that_is_kept(self):
        """Returns None, or words. Names of the program's own modules are looked at: its start time is another in
        each child."""
        moments = [(before, clock()) for clock, before in zip(_CLOCKS, self.clocks)]
        written = set(_written(*moments[0]))
        for name, module in list(sys.modules.items()):
            if self.modules.get(name) is module or not _is_own(getattr(module, "__file__", None) or "<"):
                continue
            for key, value in list(vars(module).items()):
                if _is_moment(value, moments) or type(value) is str and any(text in value for text in written):
                    return f"it keeps the time of its import, in {key}"
        return None


def _is_moment(value, moments):
    datetime = sys.modules.get("datetime")
    if datetime is not None and type(value) is datetime.datetime:
        try:
            local, universal = value.timestamp(), value.replace(tzinfo=datetime.timezone.utc).timestamp()
        except (OverflowError, ValueError, OSError):
            return False  # of another age
        return any(begin <= moment <= end for moment in (local, universal) for begin, end in moments[:1])
    if type(value) is int:
        return any(int(begin * unit) <= value <= int(end * unit)
                   for begin, end in moments for unit in (1, 1e3, 1e6, 1e9) if begin * unit > 1e6)
    return type(value) is float and any(begin - 1 <= value <= end + 1 for begin, end in moments)


def _written(begin, end):
    """Spellings of the time of day, as names of runs and of logs have them."""
    for second in range(int(begin), int(end) + 1):
        for moment in (time.localtime(second), time.gmtime(second)):
            hour, minute, second_of = f"{moment[3]:02}", f"{moment[4]:02}", f"{moment[5]:02}"
            for between in ("", ":", "-", "_"):
                yield hour + between + minute + between + second_of
