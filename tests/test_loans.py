# SPDX-License-Identifier: MIT
"""Programs: their processes borrow a standby's memory until they execute one, and nobody can tell."""

import os
import signal

import pytest

from conftest import DENY
from spawner import KILL_ON_CLOSE, children, eventually, state, title
from test_inside import Marker, searchable, searches  # noqa: F401 (fixtures)
from test_serve import serve  # noqa: F401
from test_spawn import refused
from test_starve import pauses

MEMORY_OFF, MEMORY_FREEZE = 3, 1
LOANS = 64  # by one standby, where there is room for the fds

pytestmark = pytest.mark.skipif("loan" in DENY, reason="nobody borrows memory here")


@pytest.fixture
def one(start, testmod):
    """A spawner whose server has one standby."""
    spawner = start()
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    return spawner


def only(spawner):
    """The standby, once it is there."""
    found = eventually(lambda: (found := spawner.standbys()) and len(found) == spawner.stats()["standbys"] == 1 and found)
    assert found
    return found[0]


def program(spawner, *words, **request):
    return spawner.spawn(program=words[0], argv=words, **request)


# ---- who does it ----


def test_a_standby_stays_one(one):
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


def test_an_entry_point_has_its_standby(one, testmod):
    before = only(one)
    assert program(one, "true").code() == 0
    assert one.call(f"{testmod}:exit_with", 3).pid == before


@pytest.mark.parametrize("request_", [
    {"environment": [f"A{i}=" for i in range(300)]},
    {"environment": ["A=" + "x" * 70000]},
    {"fds": 300},
], ids=["many-words", "large", "many-fds"])
def test_what_does_not_fit_into_a_standbys_memory(one, request_):
    fds = [("fd", 2)] * request_.pop("fds", 0)
    before = only(one)
    process = program(one, "/bin/sh", "-c", "exit 3", actions=fds, **request_)
    assert process.pid == before and process.code() == 3
    assert only(one) != before


def test_few_fds(start, testmod):
    """A server that has no room for many more children lends nothing: it could not look after who borrows."""
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
            process = program(one, "sh", "-c", "exit 5", directory=tmp_path, umask=0o123, environment=["PATH=/bin:/usr/bin", "B=1"],
                              actions=[("open", 0, "/dev/zero", os.O_RDONLY, 0), ("open", 7, "/dev/null", os.O_RDONLY, 0),
                                       ("close_fd", 1)], time_limit=60000, **request)
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
    secrets = [Marker(what) for what in ("name", "argv", "environment", "path", "directory")]
    words = [marker.word for marker in secrets]
    for name in "true", words[0]:
        request = {"program": name, "argv": ["true", words[1]], "environment": [f"A={'x' * 5000}{words[2]}"],  # longer than the next request
                   "actions": [("open", 5, "/dev/null", os.O_RDONLY, 0)]}
        if name == "true":
            assert spawner.spawn(**request).code() == 0
        else:
            refused(spawner.spawn, **request)
    refused(spawner.spawn, program="true", actions=[("open", 5, f"/{words[3]}", os.O_RDONLY, 0)])
    refused(spawner.spawn, program="true", directory=f"/{words[4]}")
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


# ---- whose set-up takes long ----


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def blocked(spawner, fifo, **request):
    """A program that waits for somebody to write to the FIFO; it is asked for by a process of its own, for a spawn returns
    when it runs."""
    spawner.request(program="cat", argv=["cat"], actions=[("open", 0, fifo, os.O_RDONLY, 0)], **request)
    spawner.ask("spawn")


def parts(spawner):
    return {spawner.zygote(), only(spawner)}


def test_who_waits_for_another_does_not_keep_it_out(start, serve, fifo):  # noqa: F811
    """With one standby: its memory goes with who has borrowed it, and others come. To the server that is no failure."""
    path = serve("--standbys", "1").wait_until_it_listens().path
    first, second = start(), start()
    for spawner in first, second:
        spawner("connect", path)
    before, server = only(first), first.server()
    blocked(first, fifo)
    assert eventually(lambda: title(before) != "forkserver: standby" or state(before) == "gone"), "nobody borrows its memory"
    assert program(second, "sh", "-c", "exit 3").code() == 3
    assert state(before) == "gone"
    with open(fifo, "w"):
        process = first.answer("spawn")
    assert first("wait", process["process"], 60000)["exit_code"] == 0
    assert eventually(lambda: set(children(server)) == parts(second))


def test_the_standby_dies_meanwhile(start, testmod, fifo):
    spawner = start()
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    before, server = only(spawner), spawner.server()
    os.kill(before, signal.SIGSTOP)
    assert eventually(lambda: state(before) == "T")
    blocked(spawner, fifo)
    os.kill(before, signal.SIGCONT)
    assert eventually(lambda: len(children(server)) >= 3), "nobody borrows its memory"
    os.kill(before, signal.SIGKILL)
    with open(fifo, "w"):
        process = spawner.answer("spawn")
    assert spawner("wait", process["process"], 60000)["exit_code"] == 0


def test_who_borrows_is_killed(start, testmod, fifo):
    """Three of them, as the library asks three times."""
    spawner = start()
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    server, known = spawner.server(), parts(spawner)
    blocked(spawner, fifo)
    for _ in range(3):
        found = eventually(lambda: [pid for pid in children(server) if pid not in known and title(pid).startswith("forkserver: worker")])
        assert found
        known |= set(found)
        for pid in found:
            os.kill(pid, signal.SIGKILL)
    assert refused(spawner.answer, "spawn").errno == "ECONNABORTED"
    assert program(spawner, "sh", "-c", "exit 3").code() == 3
    assert eventually(lambda: set(children(server)) == parts(spawner))


def test_who_borrows_is_killed_before_the_server_knows_of_it(start, testmod, other_user):
    """As fds in flight keep its claim from being sent."""
    hog, spawner = start(), start()
    for each, limit in (spawner, 400), (hog, 500):  # the request's own fds are not enough
        each("setuid", 54328)
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
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not found & set(children(server))), "nobody waits for it"
    hog("close", *flight["fds"])
    assert spawner("wait", spawner.answer("spawn")["process"], 60000)["exit_code"] == 0
