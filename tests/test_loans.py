# SPDX-License-Identifier: MIT
"""Programs: their processes borrow a standby's memory until they execute one, and nobody can tell."""

import fcntl
import os
import shutil
import signal

import pytest

from conftest import MISSING
from spawner import KILL_ON_CLOSE, children, eventually, state, title
from test_inside import Marker, searchable, searches  # noqa: F401 (fixtures)
from test_serve import serve  # noqa: F401
from test_spawn import refused
from test_starve import pauses

MEMORY_OFF, MEMORY_FREEZE = 3, 1
LOANS = 16  # by one standby, where there is room for the fds

pytestmark = pytest.mark.skipif(bool(MISSING & {"loan", "futex_waitv"}), reason="nobody borrows memory here")


@pytest.fixture
def one(start, testmod):
    """A spawner whose server has one standby."""
    spawner = start()
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    return spawner


def only(spawner):
    """The standby, once it is there."""
    found = eventually(lambda: (found := spawner.standbys())
                       and len(found) == spawner.stats()["standbys"] == 1 and found)
    assert found
    return found[0]


def program(spawner, *words, **request):
    return spawner.spawn(program=words[0], argv=words, **request)


# ---- requests that get a loan ----


def test_a_standby_stays_a_standby(one):
    before = only(one)
    for code in range(5):
        assert program(one, "sh", "-c", f"exit {code}").code() == code
    assert refused(program, one, "no-such-program").errno == "ENOENT"
    assert only(one) == before


def test_not_for_ever(one, testmod):
    """What a process does is bounded, whatever it may leave behind."""
    before = only(one)
    for _ in range(LOANS):
        assert program(one, "true").code() == 0
    assert only(one) == before
    last = program(one, "sleep", "1000", flags=KILL_ON_CLOSE)
    assert last.pid == before
    last.unref()
    assert only(one) != before


@pytest.mark.parametrize("err", ["ENOSYS", "EPERM"])
def test_no_loans_where_a_core_dump_ends_all_sharers(start, build, testmod, err):
    """Before Linux 5.16 a standby's next request would end the program of the one before with its signal."""
    spawner = start(before=[build / "tests" / "deny", "--errno", err, "futex_waitv", "--"])
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    before = only(spawner)
    process = program(spawner, "sh", "-c", "exit 3")
    assert (process.pid, process.code()) == (before, 3)


def test_an_entry_point_has_its_standby(one, testmod):
    before = only(one)
    assert program(one, "true").code() == 0
    assert one.call(f"{testmod}:exit_with", 3).pid == before


@pytest.mark.parametrize("request_", [
    {"environment": [f"A{i}=" for i in range(300)]},
    {"environment": ["A=" + "x" * 70000]},
    {"actions": [("fd", 2)] * 300},
    {"actions": [("open", 5, "/proc/self/mem", os.O_RDWR, 0)]},
], ids=["many-words", "large", "many-fds", "opens"])
def test_requests_that_get_no_loan(one, request_):
    """Requests that need malloc's memory, or open files: of /proc/self/mem the program would have the standby's."""
    before = only(one)
    process = program(one, "/bin/sh", "-c", "exit 3", **request_)
    assert process.pid == before and process.code() == 3
    assert only(one) != before


def test_few_fds(start, testmod):
    """A server that has no room for many more children lends nothing: it could not look after the processes."""
    spawner = start()
    spawner("limit", "nofile", 200, 300)
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    before = only(spawner)
    assert program(spawner, "true").pid == before


# ---- what is left of it ----


def test_no_trace(one, testmod, tmp_path):
    """An entry point finds all as if its process had been forked for it."""
    functions = "signals", "where", "fds", "env", "limits", "cmdline", "inheritable", "error_number"
    for function in functions:
        fresh = one.output(f"{testmod}:{function}")
        before = only(one)
        one("ignore", signal.SIGALRM, 1)
        one("ignore", signal.SIGUSR1, 1)
        one("mask", signal.SIGUSR2)
        for session in range(2):
            request = {"session": 1} if session else {"group": 0}
            process = program(one, "sh", "-c", "exit 5", directory=tmp_path, umask=0o123,
                              environment=["PATH=/bin:/usr/bin", "B=1"],
                              actions=[("dup2", 2, 7), ("dup2", 1, 2), ("close_fd", 0)], time_limit=60000, **request)
            assert process.code() == 5
        assert refused(program, one, "true", directory=tmp_path / "none").stage == "directory"
        one("ignore", signal.SIGALRM, 0)
        one("ignore", signal.SIGUSR1, 0)
        one("mask")
        assert only(one) == before
        code, text = one.code_and_output(entry=f"{testmod}:{function}", argv=[f"{testmod}:{function}"])
        if function == "where":  # five that are of this process
            fresh, text = (words.split(" ", 4)[-1] for words in (fresh, text))
        assert (code, text) == (0, fresh), function


@pytest.mark.parametrize("memory", [MEMORY_FREEZE, MEMORY_OFF])
def test_no_word(start, searches, searchable, memory):  # noqa: F811
    spawner = start()
    spawner.new(preload=[searches], standbys=1, memory=memory)
    spawner("ensure")
    before = only(spawner)
    secrets = [Marker(what) for what in ("name", "argv", "environment", "directory")]
    words = [marker.word for marker in secrets]
    for name in "true", words[0]:
        # longer than the next request
        request = {"program": name, "argv": ["true", words[1]], "environment": [f"A={'x' * 5000}{words[2]}"]}
        if name == "true":
            assert spawner.spawn(**request).code() == 0
        else:
            refused(spawner.spawn, **request)
    refused(spawner.spawn, program="true", directory=f"/{words[3]}")
    assert only(spawner) == before
    own = Marker("own")
    found = spawner.output(f"{searches}:search", *(marker.hex for marker in (*secrets, own)), own.word, environment=[])
    pid, *found = map(int, found.split())
    assert pid == before
    assert found[-1] > 0, "the search itself finds nothing"
    assert found[:-1] == [0] * len(secrets)


def test_what_is_frozen_stays_in_cores(start, module, sanitized):
    """The filter belongs to the memory: the program's is the server's, the standby's has to be the zygote's again."""
    if sanitized:
        pytest.skip("nothing is frozen beside a sanitizer")
    path = module("frozen")
    spawner = start()
    spawner.new(preload=[path], standbys=1, memory=MEMORY_FREEZE)
    spawner("ensure")
    before = only(spawner)
    code, text = spawner.code_and_output(program="cat", argv=["cat", "/proc/self/coredump_filter"])
    assert (code, int(text, 16)) == (0, int(open("/proc/self/coredump_filter").read(), 16))
    process = spawner.call(f"{path}:core_filter")
    assert process.pid == before and process.code() == 0


# ---- an execve that takes long ----


class Slow:
    """A program that is executed when it is let go. A process that opens a file waits if another has a lease for it
    (fcntl(2))."""

    def __init__(self, path):
        shutil.copy("/bin/true", path)
        self.path, self.fd = path, os.open(path, os.O_RDWR)
        self.awaited = False
        self.handler = signal.signal(signal.SIGIO, self.on_wait)
        fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def on_wait(self, *_):
        self.awaited = True

    def release(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            signal.signal(signal.SIGIO, self.handler)


@pytest.fixture
def slow(tmp_path):
    try:
        program = Slow(tmp_path / "slow")
    except OSError as error:
        pytest.skip(f"no leases on this file system: {error}")
    yield program
    program.release()


def ask(spawner, slow):
    """Until it waits. A spawn returns when the program has been executed."""
    spawner.request(program=slow.path, argv=["slow"])
    spawner.ask("spawn")
    assert eventually(lambda: slow.awaited)


def parts(spawner):
    return {spawner.zygote(), only(spawner)}


def test_slow_exec_does_not_keep_others_out(start, serve, slow):  # noqa: F811
    """With one standby: its memory goes with the process that uses it, and others come. To the server that is no
    failure."""
    path = serve("--standbys", "1").wait_until_it_listens().path
    first, second = start(), start()
    for spawner in first, second:
        spawner("connect", path)
    before, server = only(first), first.server()
    ask(first, slow)
    assert program(second, "sh", "-c", "exit 3").code() == 3
    assert state(before) == "gone"
    slow.release()
    process = first.answer("spawn")
    assert first("wait", process["process"], 60000)["exit_code"] == 0
    assert eventually(lambda: set(children(server)) == parts(second))


@pytest.mark.skipif("sud" in MISSING, reason="a process that is forked twice begins after the server was told of it")
def test_slow_exec_ends_a_standby_that_the_server_does_not_know_yet(start, serve, module, tmp_path, slow,
                                                             monkeypatch):  # noqa: F811
    """The zygote, in a fork handler, is slower to tell of it."""
    held = tmp_path / "held"
    monkeypatch.setenv("HELD_PARENT", str(held))
    path = serve("--standbys", "1", "--preload", module("held_fork")).wait_until_it_listens().path
    first, second = start(), start()
    for spawner in first, second:
        spawner("connect", path)
    server, known, old = first.server(), parts(first), only(first)
    os.mkfifo(held)
    os.kill(old, signal.SIGKILL)
    (standby,) = eventually(lambda: set(children(server)) - known)
    ask(first, slow)
    assert eventually(lambda: state(standby) == "gone")
    fd = os.open(held, os.O_RDWR)
    os.rename(held, tmp_path / "no-more")
    os.write(fd, b"x")
    for code in range(20):
        assert program(second, "sh", "-c", f"exit {code}").code() == code
    os.close(fd)
    slow.release()
    process = first.answer("spawn")
    assert first("wait", process["process"], 60000)["exit_code"] == 0


@pytest.mark.skipif("sud" in MISSING, reason="a process that is forked twice begins after the server was told of it")
def test_a_look_through_the_children_finds_a_standby_before_forked(start, serve, module, tmp_path,
                                                                     monkeypatch):  # noqa: F811
    """The server looks when a standby was killed. What it finds is a standby like others, when the zygote says so."""
    held = tmp_path / "held"
    monkeypatch.setenv("HELD_PARENT", str(held))
    path = serve("--standbys", "2", "--preload", module("held_fork")).wait_until_it_listens().path
    spawner = start()
    spawner("connect", path)
    server = spawner.server()
    assert eventually(lambda: spawner.stats()["standbys"] == 2 == len(spawner.standbys()))
    os.mkfifo(held)
    first, second = spawner.standbys()
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: len(children(server)) == 3 and first not in children(server))
    os.kill(second, signal.SIGKILL)
    assert eventually(lambda: second not in children(server))
    fd = os.open(held, os.O_RDWR)
    os.rename(held, tmp_path / "no-more")
    os.write(fd, b"xx")
    assert eventually(lambda: spawner.stats()["standbys"] == 2 == len(spawner.standbys()))
    os.close(fd)
    assert [program(spawner, "sh", "-c", f"exit {code}").code() for code in range(5)] == list(range(5))
    assert spawner.stats()["workers"] == 0


def test_the_standby_dies_meanwhile(one, slow):
    before = only(one)
    ask(one, slow)
    os.kill(before, signal.SIGKILL)
    slow.release()
    process = one.answer("spawn")
    assert one("wait", process["process"], 60000)["exit_code"] == 0


def test_process_in_a_loan_is_killed(one, slow):
    server, known = one.server(), parts(one)
    ask(one, slow)
    pid = next(pid for pid in children(server) if pid not in known and title(pid).startswith("forkserver: worker"))
    os.kill(pid, signal.SIGKILL)
    process = one.answer("spawn")
    assert process["pid"] == pid and one("wait", process["process"], 60000)["signal"] == signal.SIGKILL
    assert program(one, "sh", "-c", "exit 3").code() == 3
    assert eventually(lambda: set(children(server)) == parts(one))


@pytest.mark.parametrize("together", [False, True])
def test_process_in_a_loan_is_killed_before_its_claim(start, testmod, new_uid, together):
    """As fds in flight keep its claim from being sent. Alone, or with the standby, as the kernel's OOM killer does
    it."""
    hog, spawner, uid = start(), start(), new_uid()
    for each, limit in (spawner, 400), (hog, 500):  # the request's own fds are not enough
        each("setuid", uid)
        each("limit", "nofile", limit, limit)
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    server, known = spawner.server(), parts(spawner)
    before = only(spawner)
    os.kill(before, signal.SIGSTOP)
    assert eventually(lambda: state(before) == "T")
    spawner.request(program="true", argv=["true"], spawn_timeout=60000)
    sent = pauses(spawner.process.pid)
    spawner.ask("spawn")
    assert eventually(lambda: pauses(spawner.process.pid) > sent)
    flight = hog("in_flight")
    if flight["refused"] != "ETOOMANYREFS":
        pytest.skip(f"the kernel does not count fds in flight: {flight['refused']} after {flight['sent']}")
    os.kill(before, signal.SIGCONT)
    found = eventually(lambda: set(children(server)) - known)
    assert found
    if together:
        os.kill(before, signal.SIGSTOP)
        assert eventually(lambda: state(before) in ("T", "gone"))
    for pid in [*found, *[before] * together]:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not found & set(children(server))), "nobody waits for it"
    hog("close", *flight["fds"])
    assert spawner("wait", spawner.answer("spawn")["process"], 60000)["exit_code"] == 0
