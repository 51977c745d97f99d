# SPDX-License-Identifier: MIT
"""Strange places: what the system has otherwise than usual where the library runs."""

import shutil
import subprocess

import pytest

from conftest import NOBODY, as_nobody
from leftovers import PATIENCE
from test_serve import open_directory, serve  # noqa: F401 (fixtures)
from test_spawn import refused

LIMIT = 30 * PATIENCE


def outcome(*command, **options):
    """Standard output and error, and the exit code."""
    options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=LIMIT, **options)
    return result.stdout, result.stderr, result.returncode


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}(1)")


# ---- libraries that stand in for the C library's calls ----


def test_fakeroot(forkserver, other_user, sanitized, tmp_path):
    """It has geteuid(3) say 0; the kernel knows better."""
    need("fakeroot")
    if sanitized:
        pytest.skip("the sanitizer's runtime has to come first")
    assert outcome(*as_nobody("fakeroot", forkserver, "run", "id", "-u"), cwd="/tmp") == ("0\n", "", 0)


def test_time_that_stands_nearly_still(forkserver, sanitized):
    """A limit of 0.2 s would take 200 s, and the program's second 1,000 s."""
    need("faketime")
    if sanitized:
        pytest.skip("the sanitizer's runtime has to come first")
    faked = ["faketime", "-f", "+1d x0.001", forkserver, "run"]
    assert outcome(*faked, "echo", "here") == ("here\n", "", 0)
    assert "it ran longer" in outcome(*faked, "--timeout", "0.2", "sleep", "1")[1]


# ---- little of something ----


def test_small_stack(program, serve, testmod, sanitized):
    """A thread with PTHREAD_STACK_MIN, where posix_spawn(3) works."""
    if sanitized:
        pytest.skip("the sanitizer's own frames are too large")
    server = serve()
    server.wait_until_it_listens()
    assert outcome(program("small_stack"), testmod, server.path) == ("", "", 0)


# ---- what is missing ----


@pytest.fixture
def home(open_directory):  # noqa: F811
    """A directory that only root may search, below one that all may."""
    path = open_directory / "home"
    path.mkdir(mode=0o700)
    return path


def test_working_directory_that_may_not_be_searched(forkserver, other_user, home):
    """As of `sudo -u nobody` in /root: a process that is there may stay, and so may its children."""
    where = ["readlink", "/proc/self/cwd"]
    for command in (["run", *where], ["run", "--preload", "libc.so.6", *where], ["map", "--", "readlink"]):
        output, text, code = outcome(*as_nobody(forkserver, *command), cwd=home, input="/proc/self/cwd\n", stdin=None)
        assert (output, text, code) == (f"{home}\n", "", 0)


def test_directory_that_may_be_searched_no_more(start, other_user, open_directory, testmod):  # noqa: F811
    """Nobody else can go there, nor can a fork server that was started in another directory."""
    home = open_directory / "home"
    home.mkdir()
    spawner = start()
    spawner("setuid", NOBODY)
    spawner.new(preload=[testmod])
    assert spawner.spawn(program="true").code() == 0
    spawner("chdir", home)
    home.chmod(0)
    failure = refused(spawner.spawn, program="true")
    assert (failure.errno, failure.stage) == ("EACCES", "directory") and "started in another" in failure.text
    spawner.new(preload=[testmod])
    assert spawner.spawn(program="true").code() == 0


def without(directory, *command):
    """In a mount namespace where that directory is empty."""
    hidden = f'mount -t tmpfs none {directory} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", hidden, "sh", *command]


@pytest.fixture
def namespaces():
    need("unshare")
    if subprocess.run(without("/dev", "true"), capture_output=True).returncode != 0:
        pytest.skip("no mount namespace can be made here")


def test_without_devices(forkserver, namespaces, testmod):
    """/dev/null is what the fork server and its modules read."""
    for command in (["run", "echo", "1"], ["run", "--preload", testmod, "echo", "1"], ["map", "--", "echo"]):
        output, text, code = outcome(*without("/dev", forkserver, *command), stdin=None, input="1\n")
        assert (output, text, code) == ("1\n", "", 0)


def test_without_proc(build, forkserver, namespaces, testmod, sanitized):
    """What is in /proc/self/status is asked otherwise. (The loader finds nothing beside a program then.)"""
    if sanitized:
        pytest.skip("a sanitizer needs /proc")
    work = "umask; kill -USR1 $$; echo alive"
    script = "mount -t tmpfs none /proc && umask 027 && trap '' USR1 && exec \"$@\""
    command = ["unshare", "--mount", "sh", "-c", script, "sh", "env", f"LD_LIBRARY_PATH={build}/src", forkserver]
    for more in ([], ["--preload", testmod]):
        assert outcome(*command, "run", *more, "sh", "-c", work) == ("0027\nalive\n", "", 0)
    assert outcome(*command, "run", "/bin/sh", "-c", "exit 3")[2] == 3
