# SPDX-License-Identifier: MIT
"""
Fixtures of the integration tests.

FORKSERVER_BUILD       the build directory (default: build, in the repository)
FORKSERVER_DENY        kernel features that are not there, set by tests/programs/deny.c, below which pytest runs then
FORKSERVER_TEST_SCALE  how many spawns the load tests make (default 20000; 4000 with a sanitizer)
"""

import json
import os
import re
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

import alone
from leftovers import BUILD, PATIENCE, Watch, become_reaper
from spawner import Spawner

DENY = os.environ.get("FORKSERVER_DENY", "").split()
KERNEL = tuple(int(re.match(r"\d+", part)[0]) for part in os.uname().release.split(".")[:2])
SINCE = {"sud": (5, 11), "futex_waitv": (5, 16), "collapse": (6, 1), "pagemap_scan": (6, 7), "pidfd_group": (6, 9),
         "pidfd_info": (6, 15)}
MISSING = {*DENY, *(feature for feature, version in SINCE.items() if KERNEL < version)}
NOBODY = 65534
FILES = 16384

os.environ["FORKSERVER_HELPERS"] = str(BUILD / "src")
# A directory that may not be searched turns "no such program" into "permission denied", as with execvp(3).
os.environ["PATH"] = ":".join(part for part in os.environ.get("PATH", os.defpath).split(":")
                              if os.access(part, os.X_OK))
os.environ.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_leaks=0")


def take_signals_as_usual():
    """A shell that runs us in the background may have us ignore SIGINT or SIGHUP, and so every program that we test."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def raise_limit_of_files():
    """The kernel lets an ordinary user have as many fds in flight, in all its processes, as the sender may have open:
    the usual 1,024 are too few for tests that run at the same time (unix(7), ETOOMANYREFS)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES), most))


def leave_orphaned_group():
    """As a shell starts a job, if none did: in a group of our own, with a parent outside of it. In an orphaned group
    (one that a supervisor started) no terminal signal stops anybody, and a worker that ends while a test has a process
    stopped brings SIGHUP to all, us and the scripts around us included (setpgid(2), "orphaned process group")."""
    if sys.stdin.isatty():
        return
    # as `meson test` starts us: a session's leader has to stay in its group, its child hasn't
    if os.getsid(0) == os.getpid():
        if pid := alone.fork():
            alone.wait_for(pid)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


def pytest_configure(config):
    take_signals_as_usual()
    raise_limit_of_files()
    alone.enter()
    leave_orphaned_group()
    config.addinivalue_line("markers", "leaves: leaves something behind on purpose; nothing is checked after it")


def pytest_report_header():
    place = "alone" if alone.is_alone() else "among all that runs here"
    return [f"forkserver build: {BUILD}", f"denied: {' '.join(DENY) or 'nothing'}", f"patience: {PATIENCE}; {place}"]


@pytest.fixture(scope="session")
def build():
    if not (BUILD / "src").is_dir():
        pytest.exit(f"no build in {BUILD}: run ./dev build, or set FORKSERVER_BUILD", returncode=4)
    return BUILD


@pytest.fixture(scope="session")
def sanitized(build):
    """Whether this build has a sanitizer, which makes all slower and larger."""
    options = json.loads((build / "meson-info" / "intro-buildoptions.json").read_text())
    return any(option["name"] == "b_sanitize" and option["value"] not in ("none", []) for option in options)


@pytest.fixture(scope="session")
def scale(sanitized):
    return int(os.environ.get("FORKSERVER_TEST_SCALE", 4000 if sanitized else 20000))


@pytest.fixture(scope="session")
def forkserver(build):
    return str(build / "src" / "forkserver")


@pytest.fixture(scope="session")
def program(build):
    """The path of a program of tests/programs/."""
    return lambda name: str(build / "tests" / name)


@pytest.fixture(scope="session")
def module(build):
    """The path of a module of tests/modules/."""
    return lambda name: str(build / "tests" / f"{name}.so")


@pytest.fixture
def preloadable(module, tmp_path):
    """The path of a module as LD_PRELOAD takes it, in which a space ends a name."""
    def link(name):
        path = tmp_path / f"{name}.so"
        path.symlink_to(module(name))
        return str(path)

    return link


@pytest.fixture(scope="session")
def testmod(module):
    return module("testmod")


@pytest.fixture(scope="session")
def layout(build):
    """The version and sizes of protocol.h."""
    return json.loads(subprocess.check_output([build / "fuzz" / "attack", "layout"]))


@pytest.fixture
def start(program):
    """Starts spawners; ends them, and looks at how they ended."""
    spawners = []

    def start_one(before=(), **options):
        spawners.append(Spawner([*before, program("spawner")], **options))
        return spawners[-1]

    yield start_one
    for spawner in spawners:
        spawner.end()


@pytest.fixture
def spawner(start, testmod):
    """A spawner with a private server that has preloaded testmod."""
    spawner = start()
    spawner.new(preload=[testmod])
    return spawner


@pytest.fixture(scope="session", autouse=True)
def reaper():
    become_reaper()


@pytest.fixture(autouse=True)
def nothing_left(request, tmp_path_factory, monkeypatch):
    """After each test no process, fd, temporary file or shared-memory name is left of it."""
    tmp_path_factory.getbasetemp()  # pytest's own directory, which stays
    directory = tempfile.mkdtemp(prefix="forkserver-test-")
    os.chmod(directory, 0o755)
    monkeypatch.setenv("TMPDIR", directory)
    monkeypatch.setattr(tempfile, "tempdir", directory)
    watch = Watch(directory)
    yield
    left = watch.find()
    shutil.rmtree(directory, ignore_errors=True)
    if left and not request.node.get_closest_marker("leaves"):
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


def as_user(uid, *command):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *map(str, command)]


def as_nobody(*command):
    return as_user(NOBODY, *command)


@pytest.fixture
def other_user(forkserver):
    """Tests that become one need it: a build below a directory that is one user's alone, as mktemp(1) makes them, does
    not do."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if subprocess.run(as_nobody(forkserver, "--version"), capture_output=True).returncode != 0:
        pytest.skip("another user can't reach the build directory")


@pytest.fixture
def new_uid(other_user):
    """Makes uids that no process has, also of this test in another run: processes and fds in flight count for a uid."""
    return lambda: 100000 + secrets.randbelow(1 << 30)
