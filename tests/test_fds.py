# SPDX-License-Identifier: MIT
"""File actions: in order, as posix_spawn's."""

import os

import pytest

from spawner import Failure
from test_spawn import refused

READ, WRITE = os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@pytest.fixture
def files(spawner, tmp_path):
    """The spawner's fds of files that hold "0", "1", …"""

    def make(n):
        fds = []
        for i in range(n):
            (tmp_path / f"f{i}").write_text(f"{i},")
            fds.append(spawner("open", tmp_path / f"f{i}", READ)["result"])
        return fds

    return make


def open_fds(spawner, testmod, **request):
    return [int(word) for word in spawner.output(f"{testmod}:fds", **request).split()]


# ---- which there are ----


def test_only_the_standard_streams(spawner, testmod, tmp_path):
    fd = spawner("open", tmp_path / "x", WRITE)["result"]
    spawner("dup2", fd, 50)  # not close-on-exec: the one difference from posix_spawn
    assert spawner.code_and_output(program="ls", argv=["ls", "/proc/self/fd"])[1].split() == ["0", "1", "2", "3"]
    assert spawner.output(f"{testmod}:inheritable").split() == ["0", "1", "2"]


def test_standard_streams_of_now(spawner, testmod, tmp_path):
    for i in range(2):
        fd = spawner("open", tmp_path / f"out{i}", WRITE)["result"]
        spawner("dup2", fd, 1)
        assert spawner.call(f"{testmod}:echo", i).code() == 0
        assert spawner.spawn(program="echo", argv=["echo", "program", i]).code() == 0
        assert (tmp_path / f"out{i}").read_text() == f"{i}\nprogram {i}\n"


@pytest.mark.parametrize("when", ["before the server starts", "later"])
@pytest.mark.parametrize("closed", [[0], [1], [0, 1, 2]])
def test_closed_streams_stay_closed(spawner, testmod, when, closed):
    """No socket of the library's own slips into the gap, and from there into the child."""
    if when == "later":
        assert spawner.call(f"{testmod}:exit_with", 0).code() == 0
    spawner("close", *closed)
    script = "n=0; for i in 0 1 2; do if [ -e /proc/$$/fd/$i ]; then n=$((n + (1 << i))); fi; done; exit $n"
    expected = sum(1 << fd for fd in range(3) if fd not in closed)
    process = spawner.spawn(program="sh", argv=["sh", "-c", script])
    assert process.code() == expected
    # nor is one there for what the program itself writes to its standard output
    assert not [fd for fd in closed if os.path.lexists(f"/proc/{spawner.process.pid}/fd/{fd}")]


def test_pipes_beside_a_closed_stream(spawner):
    spawner("ensure")
    spawner("close", 0)
    script = "readlink /proc/$$/fd/0 || echo closed"
    assert spawner.code_and_output(program="sh", argv=["sh", "-c", script]) == (0, "closed\n")


def test_closed_by_the_request(spawner, testmod):
    assert 0 not in open_fds(spawner, testmod, actions=[("close_fd", 0)])
    actions = [("close_fd", 0), ("close_fd", 1), ("close_fd", 2)]
    assert spawner.call(f"{testmod}:exit_with", 3, actions=actions).code() == 3
    assert spawner.call(f"{testmod}:exit_with", 3, actions=[("close_fd", 999)]).code() == 3


# ---- order ----


def test_dup2(spawner, testmod, files):
    a, b = files(2)
    actions = [("dup2", a, 40), ("dup2", b, 3)]
    assert spawner.output(f"{testmod}:read_fd", 40, 3, actions=actions) == "0,1,"
    a, b = files(2)
    actions = [("dup2", a, 40), ("dup2", b, 3)]
    script = "cat <&3; cat /proc/self/fd/40"
    assert spawner.code_and_output(program="sh", argv=["sh", "-c", script], actions=actions) == (0, "1,0,")


def test_dup2_of_what_an_action_made(spawner, testmod, files):
    a, b = files(2)
    # 60 is the child's by then, whatever the caller has at that number
    spawner("dup2", b, 60)
    assert spawner.output(f"{testmod}:read_fd", 61, actions=[("dup2", a, 60), ("dup2", 60, 61)]) == "0,"


def test_dup2_of_a_default_stream(spawner, testmod, tmp_path):
    """2>&1 after 1 was redirected goes there; before, to where 1 was."""
    script = "echo out; echo err >&2"
    out = tmp_path / "out"
    actions = [("open", 1, out, WRITE, 0o600), ("dup2", 1, 2)]
    assert spawner.spawn(program="sh", argv=["sh", "-c", script], actions=actions).code() == 0
    assert out.read_text() == "out\nerr\n"
    # The other order, into a pipe: fd 1 is the spawner's own standard output.
    read, write = spawner("pipe")["fds"]
    spawner("dup2", write, 1)
    spawner("close", write)
    actions = [("dup2", 1, 2), ("open", 1, out, WRITE, 0o600)]
    assert spawner.spawn(program="sh", argv=["sh", "-c", script], actions=actions).code() == 0
    spawner("open", "/dev/null", os.O_WRONLY)
    spawner("close", 1)
    assert out.read_text() == "out\n"
    assert spawner("read", read)["bytes"] == "err\n"


def test_swap(spawner, testmod, files):
    """The caller's a at its b and the other way round: the library's own fds have to make way, too."""
    a, b = files(2)
    actions = [("dup2", a, b), ("dup2", b, a)]
    # b is the child's own (a's file) when the second comes, as posix_spawn's rules have it
    assert spawner.output(f"{testmod}:read_fd", a, actions=actions) == "0,"
    a, b = files(2)
    actions = [("dup2", a, 200), ("dup2", b, a), ("dup2", 200, b)]
    assert spawner.output(f"{testmod}:read_fd", a, b, actions=actions) == "1,0,"


def test_onto_itself(spawner, testmod, files):
    (a,) = files(1)
    assert spawner.output(f"{testmod}:read_fd", a, actions=[("dup2", a, a)]) == "0,"
    (a,) = files(1)
    code, text = spawner.code_and_output(program="cat", argv=["cat", f"/proc/self/fd/{a}"], actions=[("dup2", a, a)])
    assert text == "0,"


def test_open(spawner, testmod, tmp_path):
    path = tmp_path / "new"
    spawner("umask", 0o022)
    actions = [("open", 9, path, WRITE | os.O_APPEND, 0o666), ("dup2", 9, 10), ("close_fd", 9)]
    assert spawner.call(f"{testmod}:write_fd", 10, "text", actions=actions, umask=0o027).code() == 0
    assert path.read_text() == "text" and path.stat().st_mode & 0o777 == 0o640
    assert spawner.call(f"{testmod}:write_fd", 9, "text", actions=actions).code() == 1


def test_close_frees_the_number(spawner, testmod, files):
    a, b = files(2)
    actions = [("dup2", a, 70), ("close_fd", 70), ("dup2", b, 70)]
    assert spawner.output(f"{testmod}:read_fd", 70, actions=actions) == "1,"


def test_every_low_number(spawner, testmod, files):
    """No number of the worker's own is in the way."""
    fds = files(60)
    actions = [("dup2", fd, i + 3) for i, fd in enumerate(fds)]
    expected = "".join(f"{i}," for i in range(60))
    assert spawner.output(f"{testmod}:read_fd", *range(3, 63), actions=actions) == expected


@pytest.mark.parametrize("n", [247, 248, 249, 252, 253, 254, 300, 700])
def test_more_than_one_message(spawner, testmod, files, n):
    spawner("limit", "nofile", 4096)
    for i, fd in enumerate(files(7)):
        spawner("dup2", fd, 3000 + i)  # above all numbers of the child's
    actions = [("dup2", 3000 + i % 7, 3 + i) for i in range(n)]
    found = open_fds(spawner, testmod, actions=actions)
    assert set(range(3, 3 + n)) <= set(found)
    files(7)
    last = [3 + i for i in range(n - 7, n)]
    assert spawner.output(f"{testmod}:read_fd", *last, actions=actions) == "".join(f"{(i - 3) % 7}," for i in last)


def test_more_than_one_message_of_handed_fds(start, module):
    spawner = start()
    spawner.new(preload=[module("nested")])
    fd = spawner("open", "/dev/null", READ)["result"]
    spawner.request(entry=f"{module('nested')}:fds", actions=[("fd", fd)] * 600)
    code, text = spawner.code_and_output()
    assert (code, text) == (99, ";" * 600)


def test_high_number(spawner, testmod, files):
    (a,) = files(1)
    assert spawner.output(f"{testmod}:read_fd", 1000, actions=[("dup2", a, 1000)]) == "0,"


def test_number_above_the_limit(start, testmod):
    spawner = start()
    spawner("limit", "nofile", 256, 256)
    spawner.new(preload=[testmod])
    failure = refused(spawner.call, f"{testmod}:exit_with", 0, actions=[("dup2", 0, 300)])
    assert failure.stage == "fds"
    failure = refused(spawner.call, f"{testmod}:exit_with", 0, actions=[("dup2", 0, 2**31 - 1)])
    assert failure.stage == "fds"
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5


# ---- what is refused ----


@pytest.mark.parametrize(
    "actions",
    [
        [("dup2", 0, 9), ("dup2", 0, 9)],
        [("open", 9, "/dev/null", 0, 0), ("dup2", 0, 9)],
        [("dup2", 0, 1), ("dup2", 2, 1)],
        [("dup2", 0, 9), ("close_fd", 9), ("dup2", 0, 9), ("open", 9, "/dev/null", 0, 0)],
    ],
)
def test_mapped_twice(spawner, actions):
    assert refused(spawner.request, program="true", actions=actions).errno == "EINVAL"


@pytest.mark.parametrize(
    "action", [("dup2", -1, 5), ("dup2", 5, -1), ("open", -1, "/", 0, 0), ("close_fd", -1), ("fd", -1)]
)
def test_negative_number(spawner, action):
    assert refused(spawner.request, program="true", actions=[action]).errno == "EBADF"


@pytest.mark.parametrize("action", [("dup2", 555, 5), ("fd", 555)])
def test_fd_that_is_not_open(spawner, testmod, action):
    for _ in range(2):
        failure = refused(spawner.call, f"{testmod}:exit_with", 0, actions=[action])
        assert (failure.errno, failure.stage) == ("EBADF", "fds") and "555" in failure.text
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5


def test_fd_that_was_closed_by_an_action(spawner, testmod):
    failure = refused(spawner.call, f"{testmod}:exit_with", 0, actions=[("close_fd", 0), ("dup2", 0, 9)])
    assert (failure.errno, failure.stage) == ("EBADF", "fds")


def test_one_bad_fd_among_many(spawner, testmod):
    spawner("limit", "nofile", 4096)
    actions = [("dup2", 0, 10 + i) for i in range(300)] + [("dup2", 3000, 400)]
    failure = refused(spawner.call, f"{testmod}:exit_with", 0, actions=actions)
    assert (failure.errno, failure.stage) == ("EBADF", "fds") and "3000" in failure.text
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5


@pytest.mark.parametrize(
    "path, flags, error", [("/no/such/file", READ, "ENOENT"), ("/dev/null/x", READ, "ENOTDIR"), ("/", WRITE, "EISDIR")]
)
def test_open_fails(spawner, testmod, path, flags, error):
    for target in ({"entry": f"{testmod}:exit_with"}, {"program": "true"}):
        failure = refused(spawner.spawn, actions=[("open", 5, path, flags, 0)], **target)
        assert (failure.errno, failure.stage) == (error, "open") and path in failure.text


def test_number_that_a_preloaded_module_uses(start, module, testmod):
    spawner = start()
    spawner.new(preload=[module("holds_fd"), testmod])
    failure = refused(spawner.call, f"{testmod}:exit_with", 0, actions=[("dup2", 0, 77)])
    assert (failure.errno, failure.stage) == ("EBUSY", "fds") and "77" in failure.text
    assert spawner.spawn(program="true", actions=[("dup2", 0, 77)]).code() == 0
    assert spawner.code_and_output(program="ls", argv=["ls", "/proc/self/fd"])[1].split() == ["0", "1", "2", "3"]


# ---- full tables ----


def test_full_fd_table_of_the_caller(start, testmod):
    spawner = start()
    spawner("limit", "nofile", 64, 64)
    spawner.new(preload=[testmod])
    spawner("ensure")
    opened = []
    while True:
        try:
            opened.append(spawner("open", "/dev/null", READ)["result"])
        except Failure as full:
            assert full.errno == "EMFILE"
            break
    failure = refused(spawner.call, f"{testmod}:exit_with", 0)
    assert failure.errno == "EMFILE" and failure.stage
    failure = refused(spawner, "spawn_pipes", 7)
    assert failure.errno == "EMFILE"
    # With few numbers left the answer may not fit; whatever happens, it is an error and nothing leaks.
    for left in range(1, 9):
        spawner("close", opened.pop())
        before = spawner("count_fds")["result"]
        try:
            process = spawner.call(f"{testmod}:exit_with", 7)
        except Failure as failure:
            assert failure.errno == "EMFILE", failure
            assert spawner("count_fds")["result"] == before
        else:
            assert process.code() == 7
            process.unref()
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5


def test_full_fd_table_before_the_start(start, testmod):
    spawner = start()
    spawner("limit", "nofile", 32, 32)
    spawner.new(preload=[testmod])
    opened = []
    while True:
        try:
            opened.append(spawner("open", "/dev/null", READ)["result"])
        except Failure:
            break
    for _ in range(12):
        counts = []
        for _ in range(3):  # a server that was started stays, but nothing more comes with each failure
            try:
                process = spawner.call(f"{testmod}:exit_with", 7)
                assert process.code() == 7  # no more than one fits below this limit
                process.unref()
            except Failure as failure:
                assert failure.errno == "EMFILE", failure
            counts.append(spawner("count_fds")["result"])
        assert counts[1] == counts[2], counts
        spawner("close", opened.pop())
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5


def test_small_limit(start, testmod):
    """As many workers as fit; then EAGAIN, at once; and when one has ended the next fits."""
    spawner = start()
    spawner("limit", "nofile", 256, 256)
    spawner.new(preload=[testmod])
    processes, failure = [], None
    while not failure and len(processes) < 200:
        try:
            processes.append(spawner.call(f"{testmod}:hang"))
        except Failure as error:
            failure = error
    assert failure and (failure.errno, failure.stage) in (("EAGAIN", "limit"), ("EMFILE", "argument")), failure
    assert failure.stage == "limit" and len(processes) > 20, failure
    again = refused(spawner.call, f"{testmod}:hang")
    assert (again.errno, again.stage) == ("EAGAIN", "limit")
    processes[-1].kill()
    assert processes.pop().code() == -9
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5
    for process in processes:
        process.kill()
    for process in processes:
        assert process.code() == -9


def test_no_fd_is_left_in_the_caller(spawner, testmod):
    spawner.call(f"{testmod}:exit_with", 0).unref()
    before = spawner("count_fds")["result"]
    for _ in range(20):
        process = spawner.call(f"{testmod}:exit_with", 0)
        spawner("poll_fd", process.index, 0)
        process.wait()
        process.unref()
        refused(spawner.spawn, program="/no/such/program")
        refused(spawner.spawn, entry=f"{testmod}:nothing")
        refused(spawner.spawn, program="true", actions=[("open", 5, "/no/such", READ, 0)])
        assert spawner("count_fds")["result"] == before


def test_cleared_actions(spawner, tmp_path):
    """As if nothing had been added, whatever it was: the standard streams are the caller's again."""
    spawner.request(program="/bin/sh", argv=["sh", "-c", "echo x >&7"], actions=[
        ("open", 7, tmp_path / "first", os.O_CREAT | os.O_WRONLY, 0o600), ("dup2", 1, 8), ("close_fd", 1)])
    spawner("set", "clear_actions")
    spawner("set", "argv", "sh", "-c", "test -e /proc/self/fd/1 && test ! -e /proc/self/fd/7")
    spawner("set", "open", 9, tmp_path / "second", os.O_CREAT | os.O_WRONLY, 0o600)
    assert spawner.spawn().code() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["second"]
