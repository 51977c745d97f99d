# SPDX-License-Identifier: MIT
"""A place to escape from: what tests/modules/escapes/ has to know of it, and what came of each attempt."""

import contextlib
import ctypes
import os
import pathlib
import pty
import secrets
import shutil
import signal
import socket
import tempfile

from conftest import NOBODY, as_nobody
from spawner import Spawner, Failure

IPC_PRIVATE, IPC_RMID = 0, 0
libc = ctypes.CDLL(None, use_errno=True)
librt = ctypes.CDLL("librt.so.1", use_errno=True)

# What a refusal looks like. Another error means that the kernel has looked further, and a sandbox wasn't what stopped
# it; so an attempt would be no test of the sandbox.
REFUSALS = {"EPERM", "EACCES", "ENOSYS", "EXDEV"}


class Place:
    """Directories that a sandbox has on its lists and one that it hasn't; sockets, a terminal, shared memory."""

    def __init__(self, uid):
        self.uid, self.closing = uid, contextlib.ExitStack()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="forkserver-test-escape-"))
        self.closing.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.readable, self.writable, self.secret = (self.directory / name
                                                     for name in ("readable", "writable", "secret"))
        for directory in (self.readable, self.writable, self.secret):
            directory.mkdir()
        (self.readable / "file").write_text("a file\n")
        (self.readable / "spare").write_text("")
        (self.readable / "link").symlink_to(self.secret / "secret")
        (self.readable / "up").symlink_to(self.secret)
        (self.secret / "secret").write_text("secret\n")
        if os.geteuid() == 0:
            for path in (self.directory, *self.directory.rglob("*")):
                os.chown(path, uid, uid, follow_symlinks=False)
        self.abstract = f"forkserver-test-{secrets.token_hex(8)}"
        self.fds = {"ESCAPE_DIRECTORY": os.open(self.readable, os.O_RDONLY | os.O_DIRECTORY),
                    "ESCAPE_FILE": os.open(self.readable / "file", os.O_RDONLY),
                    "ESCAPE_UNIX": socket.socket(socket.AF_UNIX).detach(),
                    "ESCAPE_TCP": socket.socket().detach(),
                    "ESCAPE_UDP": socket.socket(type=socket.SOCK_DGRAM).detach()}
        master, self.fds["ESCAPE_TTY"] = pty.openpty()
        for fd in (master, *self.fds.values()):
            self.closing.callback(os.close, fd)
        self.listeners = [self.listen(socket.AF_UNIX, "\0" + self.abstract),
                          self.listen(socket.AF_UNIX, str(self.directory / "socket")),
                          self.listen(socket.AF_INET, ("127.0.0.1", 0))]
        self.make_shared()

    def listen(self, family, address):
        listener = self.closing.enter_context(socket.socket(family))
        listener.bind(address)
        listener.listen(64)
        if family == socket.AF_UNIX and isinstance(address, str) and address[0] == "/":
            os.chmod(address, 0o777)
        return listener

    def make_shared(self):
        self.memory = libc.shmget(IPC_PRIVATE, 4096, 0o666)
        assert self.memory >= 0
        self.closing.callback(libc.shmctl, self.memory, IPC_RMID, None)
        self.queue = f"/forkserver-test-{secrets.token_hex(8)}"
        before = os.umask(0)
        queue = librt.mq_open(self.queue.encode(), os.O_RDWR | os.O_CREAT, 0o666, None)
        os.umask(before)
        assert queue >= 0
        os.close(queue)
        self.closing.callback(librt.mq_unlink, self.queue.encode())

    def environment(self, target=None):
        values = {"ESCAPE_READABLE": self.readable, "ESCAPE_WRITABLE": self.writable, "ESCAPE_SECRET": self.secret,
                  "ESCAPE_ABSTRACT": self.abstract, "ESCAPE_PORT": self.listeners[2].getsockname()[1],
                  "ESCAPE_SOCKET": self.directory / "socket", "ESCAPE_SHM": self.memory, "ESCAPE_QUEUE": self.queue,
                  "ESCAPE_FDS": ",".join(map(str, self.fds.values())), **self.fds}
        if target:
            values["ESCAPE_TARGET"] = target
        return [f"{name}={value}" for name, value in values.items()]

    def actions(self):
        return [("dup2", fd, fd) for fd in self.fds.values()]

    def close(self):
        self.closing.close()


class Prisoner:
    """A spawner with a private server, for one uid, whose requests are in a sandbox; or whose processes lock themselves
    in."""

    lists_paths, attributes, flags = True, (), 0

    def __init__(self, program, module, place, profile=None, locks_itself=None, is_program=False):
        before = as_nobody() if place.uid == NOBODY and os.geteuid() == 0 else []
        self.module, self.place, self.profile, self.locks_itself = module, place, profile, locks_itself
        self.program = program("escaper") if is_program else None
        self.spawner = Spawner([*before, program("spawner")], pass_fds=list(place.fds.values()))
        self.spawner.new(preload=[module])

    def set_sandbox(self, profile):
        """pure-compute has no files at all, so none are listed."""
        has_paths = self.lists_paths and profile != "pure-compute"
        paths = [f"read={self.place.readable}", f"write={self.place.writable}"] if has_paths else []
        if self.program and profile in ("untrusted", "pure-compute"):
            build = pathlib.Path(self.program).parent.parent
            paths += [f"execute={self.program}", f"execute={build / 'src'}"]
        self.spawner("set_sandbox", *([profile, f"flags={self.flags}", *paths] if profile else []))

    def request(self, entry, *words, target=None):
        self.set_sandbox(self.profile)
        what = {"entry": f"{self.module}:{entry}", "argv": [entry, *words]}
        if self.program:
            what = {"program": self.program, "argv": [self.program, entry, *words]}
        self.spawner.request(**what, set_attributes=self.attributes, environment=self.place.environment(target),
                             actions=self.place.actions())

    def attempt(self, name, target=None):
        """(verdict, errno or reason). A process that was killed for it was refused."""
        if self.locks_itself:
            self.request("escape_locked", self.locks_itself, name, target=target)
        else:
            self.request("escape", name, target=target)
        code, text = self.spawner.code_and_output()
        if code == -signal.SIGSYS:
            return "refused", "SIGSYS"
        words = text.split(maxsplit=2)
        if code != 0 or len(words) != 3 or words[0] != name:
            return "unclear", f"exit code {code}: {text!r}"
        return words[1], words[2].strip()

    def end(self):
        self.spawner.end()


def names(prisoner):
    return prisoner.spawner.output(f"{prisoner.module}:list", environment=[]).split()
