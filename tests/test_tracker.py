# SPDX-License-Identifier: MIT
"""The resource tracker (S15): by itself, in a family of processes, and together with CPython's."""

import base64
import contextlib
import glob
import itertools
import json
import os
import pathlib
import select
import signal
import subprocess
import sys

import pytest

from leftovers import descendants
from spawner import LIMIT, STANDBYS, Failure, Spawner, eventually, state, title

TITLE = "forkserver: resource tracker"
TRACKER = 1  # FSRV_SERVER_TRACKER
SHM = pathlib.Path("/dev/shm")
REMOVED = "forkserver: resource tracker: removed what was left behind: "
SKIPPED = "forkserver: resource tracker: skipped a line: "
numbers = itertools.count()


def new_name():
    return f"/fsrv-test-{os.getpid()}-{next(numbers)}"


def path_of(kind, name):
    """Where Linux has it."""
    return SHM / (("sem." if kind == "semaphore" else "") + name.lstrip("/"))


def make(kind, name=None):
    name = name or new_name()
    path_of(kind, name).touch()
    return name


def exists(kind, name):
    return path_of(kind, name).exists()


def trackers():
    return [pid for pid in descendants(os.getpid()) if title(pid) == TITLE and state(pid) != "gone"]


def tracker():
    """The one that there is: its title comes a moment after its start."""
    assert eventually(trackers)
    (pid,) = trackers()
    return pid


def holders(inode):
    """pid -> "r" or "w", whatever it has of that pipe, for all processes below us."""
    found = {}
    for pid in descendants(os.getpid()):
        for fd in glob.glob(f"/proc/{pid}/fd/*"):
            with contextlib.suppress(OSError):
                if os.readlink(fd) == f"pipe:[{inode}]":
                    found.setdefault(pid, set()).add("r" if os.lstat(fd).st_mode & 0o400 else "w")
    return found


def status(pid):
    return dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())


def signals(pid, which):
    """The numbers in one of the sets of a process: SigIgn, SigBlk, …"""
    bits = int(status(pid)[which], 16)
    return {number for number in range(1, 65) if bits & 1 << number - 1}


def memory(pid):
    """The most that a process ever had, in KiB."""
    return int(status(pid)["VmHWM"].split()[0])


class Tracked(Spawner):
    """A program that uses a tracker; `errors` is what it and its tracker say."""

    def __init__(self, command, errors, **options):
        self.errors = errors
        with open(errors, "a") as file:
            super().__init__(command, stderr=options.pop("stderr", file), **options)

    def register(self, kind, name):
        return self("register", kind, name)

    def unregister(self, kind, name):
        return self("unregister", kind, name)

    def make(self, kind):
        name = make(kind)
        self.register(kind, name)
        return name

    def get_fd(self):
        return self("get_fd")["result"]

    def inode(self):
        return self("get_fd")["inode"]

    def write(self, text):
        """Straight to the tracker."""
        data = text if isinstance(text, bytes) else text.encode()
        fd = os.open(f"/proc/{self.process.pid}/fd/{self.get_fd()}", os.O_WRONLY)
        while data:
            data = data[os.write(fd, data) :]
        os.close(fd)

    def use(self, w):
        """The tracker at the other end of a pipe of ours, whose writing end it gets."""
        fd = self("open", f"/proc/{os.getpid()}/fd/{w}", os.O_WRONLY)["result"]
        os.close(w)
        self("set_fd", fd)
        self("close", fd)  # it has a copy

    def call(self, entry, *args):
        return self("spawn", "entry", entry, *args)

    def leave(self, how="end"):
        """Ends, and with it the tracker: its exit code, and the lines that were said."""
        pid = tracker()
        getattr(self, how)()
        self.may_die = True
        assert eventually(lambda: state(pid) == "gone"), "the tracker lives on"
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), self.lines()

    def end(self):
        if not self.file.closed:
            super().end()

    def lines(self):
        return pathlib.Path(self.errors).read_text().splitlines()

    def said(self, text):
        return eventually(lambda: any(text in line for line in self.lines()))


@pytest.fixture
def track(program, tmp_path):
    started = []

    def start(**options):
        started.append(Tracked([program("tracked")], tmp_path / f"errors-{len(started)}", **options))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def client(track):
    return track()


@pytest.fixture(scope="session")
def tracking(module):
    return module("tracking")


# ---- by itself ----


def test_s15_leftovers_are_removed_and_named(client):
    """Of a program that is killed; what it unregistered is its own business."""
    left = [(kind, client.make(kind)) for kind in ("semaphore", "shared_memory", "semaphore", "dummy")]
    kept = client.make("shared_memory")
    client.unregister("shared_memory", kept)
    code, lines = client.leave("die")
    assert lines == [REMOVED + ", ".join(f"{kind} {name}" for kind, name in left)]
    assert code == 1
    assert [exists(*one) for one in left] == [False, False, False, True]  # a dummy is nothing
    assert exists("shared_memory", kept)
    path_of("shared_memory", kept).unlink()
    path_of(*left[3]).unlink()


def test_s15_a_set_not_a_count(client):
    name = make("semaphore")
    for _ in range(3):
        client.register("semaphore", name)
    client.register("dummy", name)  # another type is another thing
    client.unregister("semaphore", name)
    code, lines = client.leave()
    assert (code, lines) == (1, [f"{REMOVED}dummy {name}"])
    assert exists("semaphore", name)
    path_of("semaphore", name).unlink()


def test_s15_nothing_left_nothing_said(client):
    client("probe")
    name = new_name()
    client.register("dummy", name)
    client.unregister("dummy", name)
    assert client.leave() == (0, [])


def test_s15_started_on_demand_and_once(client):
    assert not trackers()
    client("new", 0)
    assert client("spawn", "program", "true") and not trackers()
    client("free")
    client("probe")
    inode = client.inode()
    pid = tracker()
    client("probe")
    client.make("dummy")
    assert tracker() == pid and client.inode() == inode
    code, lines = client.leave()
    assert code == 1 and len(lines) == 1
    for path in SHM.glob(f"fsrv-test-{os.getpid()}-*"):
        path.unlink()


def test_s15_tracker_is_nobodys_child(client):
    client("sigchld")
    client("probe")
    pid = tracker()
    with pytest.raises(Failure) as failure:
        client("wait_any")
    assert failure.value.errno == "ECHILD"
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: state(pid) == "gone")
    assert client("sigchld")["result"] == 0
    with pytest.raises(Failure) as failure:
        client("wait_any")
    assert failure.value.errno == "ECHILD"


def test_s15_deaf_to_the_terminal_and_to_killall(client):
    name = client.make("semaphore")
    pid = tracker()
    ignored = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP,
               signal.SIGTTIN, signal.SIGTTOU}
    for number in ignored:
        os.kill(pid, number)
    client.write("what\n")
    assert client.said("what") and tracker() == pid and state(pid) != "T"
    assert signals(pid, "SigBlk") == set() and signals(pid, "SigIgn") == ignored
    assert os.getpgid(pid) == pid and os.readlink(f"/proc/{pid}/cwd") == "/"
    code, lines = client.leave()
    assert code == 1 and lines[-1] == f"{REMOVED}semaphore {name}"


def test_s15_signals_that_a_client_ignores_are_not_the_trackers(client):
    client("ignore", signal.SIGCHLD, 1)
    client("ignore", signal.SIGUSR1, 1)
    client("mask", signal.SIGTERM, signal.SIGUSR2)
    client("probe")
    client.write("what\n")
    assert client.said("what")
    assert signals(tracker(), "SigBlk") == set()
    assert not signals(tracker(), "SigIgn") & {signal.SIGCHLD, signal.SIGUSR1}


def test_s15_what_is_gone_already_is_no_leak(client):
    name = new_name()
    client.register("shared_memory", name)
    code, lines = client.leave()
    assert (code, lines) == (0, [f"{TITLE}: gone already, but never unregistered: shared_memory {name}"])


def test_s15_what_belongs_to_another_uid_stays(client, other_user):
    theirs = [(kind, make(kind)) for kind in ("shared_memory", "semaphore")]
    client("setuid", 65534)
    for one in theirs:
        client.register(*one)
    gone = new_name()
    client.register("shared_memory", gone)
    code, lines = client.leave()
    assert code == 2 and all(exists(*one) for one in theirs)
    assert lines == [f"{TITLE}: gone already, but never unregistered: shared_memory {gone}",
                     *(f"{TITLE}: cannot remove {kind} {name}: Permission denied" for kind, name in theirs)]
    for one in theirs:
        path_of(*one).unlink()


# ---- bad input ----


@pytest.mark.parametrize("line, why", [
    ("", "not COMMAND:NAME:TYPE: ''"),
    ("nonsense", "not COMMAND:NAME:TYPE: 'nonsense'"),
    ("REGISTER:/x", "not COMMAND:NAME:TYPE: 'REGISTER:/x'"),
    ("FORGET:/x:dummy", "unknown command: 'FORGET:/x:dummy'"),
    ("REGISTER:/x:socket", "unknown type of resource: 'REGISTER:/x:socket'"),
    ("REGISTER:0:noop", "'noop' is for probes alone: 'REGISTER:0:noop'"),
    ("REGISTER::dummy", "empty name: 'REGISTER::dummy'"),
    ("REGISTER:/ä:dummy", r"not ASCII: 'REGISTER:/\xc3\xa4:dummy'"),
    ("REGISTER:/a\0b:dummy", r"name with a NUL byte: 'REGISTER:/a\x00b:dummy'"),
    ("{", "not JSON: '{'"),
    ('{"cmd":"REGISTER"}', """no "cmd" and "rtype" in it: '{"cmd":"REGISTER"}'"""),
    ('{"cmd":"REGISTER","rtype":"dummy"}', """no "base64_name" in it: '{"cmd":"REGISTER","rtype":"dummy"}'"""),
    ('{"cmd":"REGISTER","rtype":"dummy","base64_name":"Y"}', """"base64_name" is no URL-safe base64: """
     """'{"cmd":"REGISTER","rtype":"dummy","base64_name":"Y"}'"""),
    ("REGISTER:" + "x" * 300 + ":dummy", "name of more than 255 bytes: 'REGISTER:" + "x" * 187 + "...'"),
    ("REGISTER:" + "x" * 497 + ":dummy", "more than 512 bytes: 'REGISTER:" + "x" * 187 + "...'"),
    ("\n\n", "not COMMAND:NAME:TYPE: ''"),
    ("\x1b[2J\\", r"not COMMAND:NAME:TYPE: '\x1b[2J\x5c'"),
])
def test_s15_a_malformed_line_is_reported_and_skipped(client, line, why):
    first, last = client.make("semaphore"), make("semaphore")
    client.write(line + "\n")
    client.register("semaphore", last)
    code, lines = client.leave()
    assert lines == [SKIPPED + why] * (line.count("\n") + 1) + [f"{REMOVED}semaphore {first}, semaphore {last}"]
    assert code == 1


def test_s15_a_bad_line_shows_in_the_exit_code(client):
    client.write("nonsense\n")
    assert client.leave()[0] == 3


def test_s15_half_a_line_at_the_end_is_none(client):
    name = make("semaphore")
    client.write(f"REGISTER:{name}:semaphore")  # it may have been meant to be longer
    assert client.leave() == (3, [f"{SKIPPED}it has no end: 'REGISTER:{name}:semaphore'"])
    assert exists("semaphore", name)
    path_of("semaphore", name).unlink()


def test_s15_an_endless_line_takes_no_memory(client):
    name = client.make("semaphore")
    pid = tracker()
    client.write("x\n")
    assert client.said("not COMMAND")
    before = memory(pid)
    client.write(b"x" * 30_000_000 + b"\nREGISTER:/a:dummy\n")
    client.write("y\n")
    assert client.said("'y'")
    assert memory(pid) - before < 2000
    code, lines = client.leave()
    assert code == 1 and lines[-1] == f"{REMOVED}semaphore {name}, dummy /a"
    assert [line for line in lines if "more than 512" in line] == [f"{SKIPPED}more than 512 bytes: '{'x' * 196}...'"]


def test_s15_unregister_of_what_was_never_registered(client):
    name = new_name()
    client.unregister("semaphore", name)
    client.register("semaphore", name)
    client.unregister("dummy", name)
    client.unregister("semaphore", name)
    client.unregister("semaphore", name)
    assert client.leave() == (3, [f"{TITLE}: a name was unregistered, but never registered: {kind} {name}"
                                  for kind in ("semaphore", "dummy", "semaphore")])


@pytest.mark.parametrize("kind, name, errno", [
    ("socket", "/x", "EINVAL"), ("noop", "/x", "EINVAL"), ("", "/x", "EINVAL"), ("NULL", "/x", "EINVAL"),
    ("semaphore", "", "EINVAL"), ("semaphore", "NULL", "EINVAL"), ("shared_memory", "x" * 256, "ENAMETOOLONG"),
    ("shared_memory", "x" * 300, "ENAMETOOLONG"), ("dummy", "\n" * 300, "ENAMETOOLONG"),
])
def test_s15_a_call_that_makes_no_sense(client, kind, name, errno):
    for call in ("register", "unregister"):
        with pytest.raises(Failure) as failure:
            client(call, kind, name)
        assert failure.value.errno == errno and failure.value.stage == "tracker"
    assert not trackers()  # nothing was started for it


ODD_NAMES = ["/new\nline", "/ä", "/\x7f\t\x01", "/a:b:", "\n" * 255, "é" * 127, "{}", ' "', "x" * 255, "/%s\\"]


def test_s15_odd_names(client):
    """All bytes that a name may have go there and back."""
    for name in ODD_NAMES:
        client.register("dummy", name)
    for name in ODD_NAMES[4:]:
        client.unregister("dummy", name)
    code, lines = client.leave()
    assert (code, lines) == (1, [REMOVED + r"dummy /new\x0aline, dummy /\xc3\xa4, dummy /\x7f\x09\x01, dummy /a:b:"])


def test_s15_a_leftover_with_an_odd_name(client):
    name = new_name() + "\n:ö"
    make("shared_memory", name)
    client.register("shared_memory", name)
    assert client.leave("die")[0] == 1
    assert not exists("shared_memory", name)


def test_s15_lines_are_those_of_cpython(track):
    """Simple ones wherever all versions understand them, else JSON as of 3.14; each in one write of at most 512."""
    r, w = os.pipe()
    client = track()
    client.use(w)
    for command in ("register", "unregister"):
        for name in ODD_NAMES:
            client(command, "shared_memory", name)
            line = os.read(r, 4096)
            assert line.endswith(b"\n") and line.count(b"\n") == 1 and len(line) <= 512
            if name.isascii() and "\n" not in name:
                assert line.decode() == f"{command.upper()}:{name}:shared_memory\n"
            else:
                known = json.loads(line)
                decoded = base64.urlsafe_b64decode(known.pop("base64_name")).decode()
                assert (decoded, known) == (name, {"cmd": command.upper(), "rtype": "shared_memory"})
    client("probe")
    assert os.read(r, 4096) == b"PROBE:0:noop\n"
    assert not trackers()
    client.end()
    assert os.read(r, 1) == b""
    os.close(r)


# ---- in a family ----


def test_s15_a_worker_registers_and_all_die(client, tracking):
    """Client, server, zygote, standbys and worker by SIGKILL."""
    name = make("semaphore")
    worker = client.call(f"{tracking}:hold", "semaphore", name)
    assert client("line", worker["fd"])["text"] == str(client.inode())
    pid = tracker()
    client.may_die = True
    for victim in [one for one in descendants(os.getpid()) if one != pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    assert eventually(lambda: state(pid) == "gone") and not exists("semaphore", name)
    assert client.lines()[-1] == f"{REMOVED}semaphore {name}"


def test_s15_tracker_outlives_server_and_client(client, tracking):
    name = make("shared_memory")
    worker = client.call(f"{tracking}:hold", "shared_memory", name)
    client("line", worker["fd"])
    pid, server = tracker(), client("server")["result"]
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: state(server) == "gone")
    client("probe")
    client.die()
    assert state(pid) != "gone" and exists("shared_memory", name) and state(worker["pid"]) != "gone"
    os.kill(worker["pid"], signal.SIGKILL)
    assert eventually(lambda: state(pid) == "gone") and not exists("shared_memory", name)
    assert client.lines()[-1] == f"{REMOVED}shared_memory {name}"


def test_s15_a_family_has_one_tracker(client, tracking):
    worker = client.call(f"{tracking}:nest", 3)
    seen = {client("line", worker["fd"])["text"] for _ in range(4)}
    assert seen == {str(client.inode())}
    assert client("wait", worker["process"])["code"] == 0
    tracker()
    name = client.make("semaphore")
    other = client.call(f"{tracking}:release", "semaphore", name)
    assert client("wait", other["process"])["code"] == 0
    assert client.leave() == (0, [])
    path_of("semaphore", name).unlink()


def test_s15_no_other_process_holds_the_pipe(client, tracking):
    """The server, its zygote and standbys, and programs have no end of it: it ends with the last that may use it."""
    inode = client.inode()
    worker = client.call(f"{tracking}:hold", "dummy", "/x")
    client("line", worker["fd"])
    program = client("spawn", "program", "cat", "/dev/zero")
    assert eventually(lambda: client("server")["standbys"] == STANDBYS)
    assert holders(inode) == {client.process.pid: {"w"}, worker["pid"]: {"w"}, tracker(): {"r"}}
    for one in (worker, program):
        os.kill(one["pid"], signal.SIGKILL)
        assert client("wait", one["process"])["code"] == -signal.SIGKILL
    assert client.leave() == (1, [f"{REMOVED}dummy /x"])


def test_s15_tracker_runs_before_the_first_spawn(client):
    client("new", TRACKER)
    client("spawn", "program", "true")
    tracker()
    assert client.leave() == (0, [])


def test_s15_tracker_holds_no_fd_of_the_clients(client, tmp_path):
    fd = client("open", tmp_path / "secret", os.O_CREAT | os.O_RDWR)["result"]
    client("dup2", fd, 77)  # inheritable
    client("probe")
    pid = tracker()
    # once it has started: a sanitizer's runtime opens files of its own before main
    assert eventually(lambda: sorted(map(int, os.listdir(f"/proc/{pid}/fd"))) == [0, 1, 2, 3])
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"


def test_s15_a_forked_child_shares_the_tracker(client):
    inode, name = client.inode(), make("semaphore")
    client("fork", "semaphore", name)
    tracker()
    assert client.inode() == inode
    assert client.leave() == (1, [f"{REMOVED}semaphore {name}"])


def test_s15_its_last_holder_counts(client):
    """Any tracker: here one that isn't the library's at all."""
    name = client.make("semaphore")
    holder = os.fdopen(os.open(f"/proc/{client.process.pid}/fd/{client.get_fd()}", os.O_WRONLY), "wb", 0)
    pid = tracker()
    client.die()
    holder.write(b"PROBE:0:noop\nbad\n")
    assert client.said("bad") and state(pid) != "gone" and exists("semaphore", name)
    holder.close()
    assert eventually(lambda: state(pid) == "gone") and not exists("semaphore", name)


def test_s15_from_many_threads(client):
    assert client("threads", 8)["result"] == 0
    assert client.leave() == (0, [])


# ---- when it dies or hangs ----


WARNING = f"{TITLE}: the tracker before this one died; the names that it knew may be left behind"


def kill_tracker():
    pid = tracker()
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: state(pid) == "gone")
    return pid


@pytest.mark.parametrize("call", ["probe", "register", "get_fd", "spawn"])
def test_s15_killed_tracker_is_started_anew_with_a_warning(client, call):
    client("new", TRACKER)
    lost, fd, inode = client.make("semaphore"), client.get_fd(), client.inode()
    before = kill_tracker()
    name = make("semaphore")
    words = {"register": ["semaphore", name], "spawn": ["program", "true"]}.get(call, [])
    client(call, *words)
    client.register("semaphore", name)
    assert tracker() != before
    assert client.get_fd() == fd and client.inode() != inode
    assert client.leave() == (1, [WARNING, f"{REMOVED}semaphore {name}"])
    assert exists("semaphore", lost)
    path_of("semaphore", lost).unlink()


def test_s15_its_death_sends_no_signal(client):
    """SIGPIPE is at its default in this program; and one of somebody else's, which waits, is left."""
    client("probe")
    kill_tracker()
    client("probe")
    client("mask", signal.SIGPIPE)
    os.kill(client.process.pid, signal.SIGPIPE)
    kill_tracker()
    client("probe")
    assert signals(client.process.pid, "ShdPnd") == {signal.SIGPIPE}
    client("ignore", signal.SIGPIPE, 1)
    client("mask")
    code, lines = client.leave()
    assert code == 0 and set(lines) == {WARNING}  # the first of the two may have died before it could speak


def test_s15_a_pipe_that_breaks_sends_no_signal(client):
    """One that says so no sooner than by EPIPE: a socket whose other end is shut."""
    client("shut")
    with pytest.raises(Failure) as failure:
        client("probe")
    assert failure.value.errno == "EPIPE" and failure.value.stage == "tracker"
    assert not trackers() and signals(client.process.pid, "SigBlk") == set()
    client("mask", signal.SIGPIPE)
    with pytest.raises(Failure) as failure:
        client("probe")
    pid = client.process.pid
    assert signals(pid, "SigPnd") == set() == signals(pid, "ShdPnd") and signals(pid, "SigBlk") == {signal.SIGPIPE}


def test_s15_where_writes_cannot_be_told_not_to_wait(client, tmp_path):
    """As with a pipe before Linux 6.4: a plain file."""
    fd = client("open", tmp_path / "lines", os.O_CREAT | os.O_WRONLY | os.O_APPEND)["result"]
    client("set_fd", fd)
    client("close", fd)
    client.register("dummy", "a")
    client.unregister("dummy", "a")
    assert (tmp_path / "lines").read_text() == "REGISTER:a:dummy\nUNREGISTER:a:dummy\n"


def test_s15_tracker_dies_while_threads_use_it(client):
    client("probe")
    client.ask("threads", 8)
    killed = set()  # a call tries three times
    while len(killed) < 2 and not select.select([client.socket], [], [], 0)[0]:
        for pid in set(trackers()) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    assert client.answer("threads")["result"] == 0 and killed
    assert eventually(lambda: all(state(pid) == "gone" for pid in killed))  # until then a probe may find it alive
    client("probe")
    assert WARNING in client.leave()[1]


def test_s15_a_stopped_tracker_makes_no_call_wait_for_ever(client):
    """Calls go on while the pipe has room, then fail in bounded time; what it was told is there when it goes on."""
    client("probe")
    pid = tracker()
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: state(pid) == "T")
    with pytest.raises(Failure) as failure:
        client("many", 100000, "dummy", "x" * 200)
    assert failure.value.errno == "ETIMEDOUT" and failure.value.stage == "tracker" and "full" in failure.value.text
    told = failure.value.answer["done"]
    assert told > 100
    os.kill(pid, signal.SIGCONT)
    assert eventually(lambda: client.register("dummy", "last"))
    code, lines = client.leave()
    assert code == 1 and len(lines) == 1 and lines[0].count(", ") == told and lines[0].endswith("dummy last")


def test_s15_full_standard_error(track, tmp_path):
    """A full pipe for standard error: registering and removing go on."""
    r, w = os.pipe()
    os.set_blocking(w, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(w, bytes(4096))
    os.set_blocking(w, True)
    client = track(stderr=w)
    os.close(w)
    name = client.make("semaphore")
    for _ in range(3):
        client.write("nonsense\n")
    pid = tracker()
    client.die()
    assert eventually(lambda: state(pid) == "gone") and not exists("semaphore", name)
    os.close(r)


def test_s15_a_tracker_that_cannot_be_started(client):
    client("new", TRACKER, "/nonexistent")
    before = client("count_fds")["result"]
    for words in (["probe"], ["register", "dummy", "x"], ["get_fd"], ["spawn", "program", "true"]):
        with pytest.raises(Failure) as failure:
            client(*words)
        assert failure.value.errno == "ENOENT" and failure.value.stage == "tracker"
        assert "/nonexistent/forkserver-tracker" in failure.value.text
    assert client("count_fds")["result"] <= before + 3  # the lifeline and the status file, for the spawn


def test_s15_without_a_free_fd(client):
    used = client("count_fds")["result"]
    client("limit", "nofile", used + 1)
    with pytest.raises(Failure) as failure:
        client("probe")
    assert failure.value.errno == "EMFILE" and failure.value.stage == "tracker"
    client("limit", "nofile", 1024)
    assert client("count_fds")["result"] == used
    client("probe")


def test_s15_set_fd(client, tmp_path):
    """Over one that is there: the number stays, and the one before ends as its last user has gone."""
    name = client.make("dummy")
    path_of("dummy", name).unlink()
    fd, first = client.get_fd(), tracker()
    r, w = client("pipe")["fds"]
    (tmp_path / "file").touch()
    only_read = client("open", tmp_path / "file", os.O_RDONLY)["result"]
    for bad in (-1, 999, r, only_read):
        with pytest.raises(Failure) as failure:
            client("set_fd", bad)
        assert failure.value.errno == "EBADF" and failure.value.stage == "tracker"
    client("set_fd", w)
    assert client.get_fd() == fd and eventually(lambda: state(first) == "gone")
    client("close", w)
    client.register("dummy", "y")
    client("set_fd", fd)  # itself
    client("close", fd)
    assert client("read", r)["bytes"] == "REGISTER:y:dummy\n"
    assert client.lines() == [f"{REMOVED}dummy {name}"]
    client("probe")  # the program has closed what was the library's: it takes the number again
    assert client.get_fd() == fd


# ---- together with CPython's ----


def pythons():
    """[(version, path)]: the system's, and what pyenv has; shared memory came with 3.8."""
    found = {}
    for path in ["/usr/bin/python3", *glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3")), sys.executable]:
        with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
            command = [path, "-c", "import sys; print(*sys.version_info[:3])"]
            text = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True).stdout
            version = tuple(map(int, text.split()))
            if version >= (3, 8):
                found.setdefault(version, path)
    return [pytest.param(path, version, id=".".join(map(str, version))) for version, path in sorted(found.items())]


CLIENT = """
import multiprocessing, os, signal, sys
from multiprocessing import resource_tracker, shared_memory
resource_tracker._resource_tracker._fd = int(sys.argv[1])
resource_tracker.ensure_running()
kept = shared_memory.SharedMemory(create=True, size=100)
gone = shared_memory.SharedMemory(create=True, size=100)
gone.unlink()
semaphore = multiprocessing.get_context("spawn").Semaphore()
print(kept._name, semaphore._semlock.name, flush=True)
if sys.argv[2:]:
    resource_tracker.register("/new\\nline:", "dummy")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("python, version", pythons())
def test_s15_cpythons_client_at_our_tracker(client, python, version):
    """One tracker for both kinds of processes. From 3.14 on names may have newlines."""
    ours = client.make("semaphore")
    fd = os.open(f"/proc/{client.process.pid}/fd/{client.get_fd()}", os.O_WRONLY)
    odd = ["odd"] if version >= (3, 14) else []
    result = subprocess.run([python, "-c", CLIENT, str(fd), *odd], pass_fds=[fd], capture_output=True, text=True,
                            timeout=LIMIT, stdin=subprocess.DEVNULL)
    os.close(fd)
    assert result.returncode == -signal.SIGKILL and not result.stderr, result.stderr
    memory_name, semaphore = result.stdout.split()
    assert exists("shared_memory", memory_name) and exists("semaphore", semaphore)
    code, lines = client.leave()
    expected = [f"semaphore {ours}", f"shared_memory {memory_name}", f"semaphore {semaphore}"]
    assert (code, lines) == (1, [REMOVED + ", ".join(expected + [r"dummy /new\x0aline:"] * len(odd))])
    assert not exists("shared_memory", memory_name) and not exists("semaphore", semaphore)


SERVER = "import sys; from multiprocessing.resource_tracker import main; main(int(sys.argv[1]))"


@pytest.mark.parametrize("python, version", pythons())
def test_s15_our_client_at_cpythons_tracker(track, python, version, tmp_path):
    """What we leave it removes; a dead one is replaced by ours."""
    r, w = os.pipe()
    with open(tmp_path / "theirs", "w") as errors:
        theirs = subprocess.Popen([python, "-c", SERVER, str(r)], pass_fds=[r], stderr=errors, stdin=subprocess.DEVNULL)
    os.close(r)
    client = track()
    client.use(w)
    left = [(kind, client.make(kind)) for kind in ("semaphore", "shared_memory")]
    client("probe")
    kept = client.make("semaphore")
    client.unregister("semaphore", kept)
    if version >= (3, 14):
        client.register("shared_memory", make("shared_memory", new_name() + "\nä"))
    client.die()
    code = theirs.wait(LIMIT)
    said = (tmp_path / "theirs").read_text()
    assert code == (1 if version >= (3, 13) else 0), said
    assert "leaked semaphore" in said and "leaked shared_memory" in said and "Error" not in said
    assert not any(exists(*one) for one in left) and exists("semaphore", kept)
    path_of("semaphore", kept).unlink()


def test_s15_a_dead_foreign_tracker_is_replaced(track):
    r, w = os.pipe()
    client = track()
    client.use(w)
    client("probe")
    os.close(r)
    name = client.make("semaphore")
    assert client.leave() == (1, [WARNING, f"{REMOVED}semaphore {name}"])
