# SPDX-License-Identifier: MIT
"""How a process ended, and why."""

from __future__ import annotations

import os
import signal as signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from multiprocessing.process import BaseProcess
    from typing import Optional, Tuple


class Status:
    """How a process ended. As a string it is one sentence.

    pid. exit_code: 0 to 255, None where a signal ended it. signal: that signal, else None. core: whether it left a
    core dump. timed_out: whether it was killed for its time limit. out_of_memory: whether the kernel killed it
    because memory was short; None where no control group counts such ends. rusage: a resource.struct_rusage, None
    where it is lost. refused: how many system calls its sandbox refused, and the name of the first; None: none. lost:
    whether nothing is known but that it has ended, because the fork server died before."""

    def __init__(self, pid, exit_code, signal, core, timed_out, out_of_memory, refused, rusage, lost):
        self.pid: int = pid
        self.exit_code: Optional[int] = exit_code
        self.signal: Optional[signals.Signals] = signal
        self.core: bool = core
        self.timed_out: bool = timed_out
        self.out_of_memory: Optional[bool] = out_of_memory
        self.refused: Optional[Tuple[int, str]] = refused and refused[:2]
        self._was_refused = bool(refused and refused[2])
        self.lost: bool = lost
        self._rusage = rusage

    @property
    def rusage(self) -> Optional[resource.struct_rusage]:
        # Made anew: at its end an interpreter may clear the type before an object that lives as long (CPython 3.11).
        return _struct_rusage(self._rusage)

    def __str__(self) -> str:
        if self.lost:
            return f"process {self.pid} ended; its status was lost together with the fork server"
        if self.signal is None:
            return f"process {self.pid} exited with {self.exit_code}"
        why = ""
        if self._was_refused:
            why = f", because its sandbox refuses {self.refused[1]}"
        elif self.timed_out:
            why = ", because its time limit had passed"
        elif self.out_of_memory:
            why = ", because memory was short"
        return f"process {self.pid} was killed by {_name(self.signal)}{why}{' (core dumped)' if self.core else ''}"

    def __repr__(self) -> str:
        return f"<forkserver.Status: {self}>"


def _name(number):
    return number.name if isinstance(number, signals.Signals) else f"signal {number}"


def _signal(number):
    try:
        return signals.Signals(number)
    except ValueError:
        return number  # a real-time signal


def _struct_rusage(numbers):
    import resource

    return None if numbers is None else resource.struct_rusage(numbers)


def rusage_of(native) -> Optional[resource.struct_rusage]:
    """Returns the rusage of a native process object. None before its end, and where it is lost."""
    return _struct_rusage(native.rusage)


def status(process: BaseProcess) -> Optional[Status]:
    """Says how a multiprocessing.Process ended that Forkserver started; None while it runs.

    TypeError: it isn't a process, or another start method's. ValueError: it has not been started, is closed, or
    isn't this process's child."""
    from multiprocessing.process import BaseProcess

    from ._popen import Popen

    if not isinstance(process, BaseProcess):
        raise TypeError(f"a multiprocessing.Process is expected, not {type(process).__name__}")
    process._check_closed()
    popen = process._popen
    if popen is None:
        raise ValueError(f"{process.name} has not been started" if process._parent_pid == os.getpid()
                         else f"{process.name} is not a child of this process")
    if not isinstance(popen, Popen):
        raise TypeError(f"{process.name} was started by the start method '{popen.method}', not by Forkserver")
    if process._parent_pid != os.getpid():
        raise ValueError(f"{process.name} is not a child of this process")
    if popen.poll() is None:
        return None
    return status_of(popen._process, popen.out_of_memory)


def status_of(native, out_of_memory) -> Status:
    """Returns the status of a native process object that has ended. out_of_memory: where SIGKILL ended it."""
    code = native.returncode
    return Status(native.pid, code if code is not None and code >= 0 else None,
                  _signal(-code) if code is not None and code < 0 else None, native.core, native.timed_out,
                  out_of_memory if code == -signals.SIGKILL else None if code is None else False,
                  native.refused, native.rusage, code is None)


class MemoryEvents:
    """How often the kernel has killed a process of our control group because memory was short. A child is in the
    control group of its server, which was ours when the server started. There is one system call for each start, so
    the file stays open."""

    _fd = None  # -1: there is none

    def read(self):
        """Returns what have_killed_since() compares with."""
        if self._fd is None:
            self._fd = self._open()
        try:
            return os.pread(self._fd, 4096, 0) if self._fd >= 0 else b""
        except OSError:
            return b""

    def have_killed_since(self, before):
        """Whether the count has grown. None where that cannot be known."""
        counts = [int(line.split()[1]) for text in (before, self.read()) for line in text.splitlines()
                  if line.startswith(b"oom_kill ")]
        return counts[1] > counts[0] if len(counts) == 2 else None

    @staticmethod
    def _open():
        for path in _files():
            try:
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass
        return -1


def _files():
    """Returns the files of the second version of control groups, cgroup(7), or of the first. In a container the
    group that shows at the top may be its own, whatever its path is outside."""
    try:
        with open("/proc/self/cgroup") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    for number, controllers, path in groups:
        for path in (path.rstrip("/"), ""):
            if "memory" in controllers.split(","):
                yield f"/sys/fs/cgroup/memory{path}/memory.oom_control"
            elif number == "0":
                yield f"/sys/fs/cgroup{path}/memory.events.local"
                yield f"/sys/fs/cgroup{path}/memory.events"
