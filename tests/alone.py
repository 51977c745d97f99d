#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
A part of the machine that is a test run's alone: /dev/shm, System V's and POSIX's queues, /tmp, and the pids.

usage: alone.py COMMAND [ARG…]      runs it there (tests/conftest.py goes there by itself)

Whatever else runs on the machine, another run of the tests too, is not seen from there and sees nothing of it; and all
that a run leaves behind ends with it. Where namespaces can't be had (an ordinary user who may not make any, a sandbox),
things stay as they are, and a test that compares what was there before and after goes by owner and name.

FORKSERVER_TEST_ALONE   set by us for what runs below: 1, or 0 where it couldn't be had; set to 0 before, none is made
"""

import ctypes
import os
import pathlib
import signal
import sys
import tempfile

MARK = "FORKSERVER_TEST_ALONE"
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
NEWNS, NEWIPC, NEWUSER, NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
NOSUID, NODEV, NOEXEC, BIND, RECURSIVE, PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind, flags, options=""):
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    checked(libc.mount(*words, ctypes.c_ulong(flags), options.encode()))


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def unshare():
    """As root without a user namespace, in which root could do less than the tests try."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(NEWNS | NEWIPC | NEWPID) == 0:
        return
    checked(libc.unshare(NEWUSER | NEWNS | NEWIPC | NEWPID))
    for name, text in ("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"):
        pathlib.Path("/proc/self", name).write_text(text)


def in_use(directory):
    """What we need of a directory that is about to be covered: paths in it."""
    wanted = [REPOSITORY, os.environ.get("FORKSERVER_BUILD"), os.getcwd(), sys.prefix,
              *os.environ.get("PYTHONPATH", "").split(":"), *(word.split("::")[0] for word in sys.argv[1:])]
    paths = {os.path.realpath(path) for path in map(str, filter(None, wanted)) if os.path.isdir(path)}
    return sorted(path for path in paths if os.path.commonpath([path, directory]) == directory and path != directory)


def cover(directory):
    """By an empty file system, in which what we need of it is in its place."""
    kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in in_use(directory)]
    mount("forkserver-test", directory, "tmpfs", NOSUID | NODEV, "mode=1777")
    for path, fd in kept:
        os.makedirs(path, exist_ok=True)
        if not os.listdir(path):  # else it lies in one that is in its place again
            mount(f"/proc/self/fd/{fd}", path, None, BIND | RECURSIVE)
        os.close(fd)


def give_up_rights():
    """Those that an ordinary user has in a user namespace of its own: a program that it executes has none of them, and
    neither shall a test. A process whose rights change becomes unreadable in /proc (prctl(2), PR_SET_DUMPABLE)."""
    if os.geteuid() != 0:
        version, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
        checked(libc.capset(version, none))
        checked(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))


def settle():
    """As the first process of the namespaces, with the pids of before still in /proc."""
    mount(None, "/", None, RECURSIVE | PRIVATE)
    here = os.getcwd()
    for directory in "/tmp", "/dev/shm":
        cover(directory)
    os.chdir(here)
    mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)


def code_of(status):
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def wait_for(pid):
    """Reaps whatever ends until this one does, and ends as it did."""
    # the terminal's: ours is to tell how the other one ends
    for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)
    while True:
        ended, status = os.wait()
        if ended == pid:
            os._exit(code_of(status))


def fork():
    pid = os.fork()
    if pid == 0:
        die_with_parent()
    return pid


def enter():
    """Returns in a child that is alone, or in the caller where that can't be had. The caller waits for the child and
    ends as it does; it has to have one thread."""
    if MARK in os.environ:
        return
    reading, writing = os.pipe()
    outer = fork()
    if outer:
        os.close(writing)
        if os.read(reading, 1):
            wait_for(outer)
        os.close(reading)
        os.waitpid(outer, 0)
        os.environ[MARK] = "0"
        return
    try:
        unshare()
        if first := fork():
            os.close(writing)
            wait_for(first)
        settle()
    except OSError:
        os._exit(1)
    os.write(writing, b"1")
    os.close(writing)
    os.close(reading)
    os.environ[MARK] = "1"
    os.environ.pop("TMPDIR", None)  # /tmp is as good, whatever the other one is called
    tempfile.tempdir = None
    if worker := fork():
        wait_for(worker)
    give_up_rights()


def is_alone():
    return os.environ.get(MARK) == "1"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    enter()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
