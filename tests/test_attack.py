# SPDX-License-Identifier: MIT
"""
Clients and servers that break every rule (fuzz/attack.c is one): nothing dies, no fd is kept, no client is served that
should not be, and good clients are served meanwhile. How long those had to wait is printed, and not asserted.

FORKSERVER_ATTACK_REQUESTS  how many broken requests (default 20000; 4000 with a sanitizer; a million by `./dev attack`)
FORKSERVER_ATTACK_SEED      of the random numbers that break them (default: another one each time; it is printed)
"""

import array
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import threading
import time

import pytest

from conftest import NOBODY
from spawner import LIMIT, STANDBYS, Failure, children, eventually, title
from test_serve import open_directory, serve, server  # noqa: F401 (fixtures)

SO_PASSRIGHTS = 83  # Linux 6.16
SEED = int(os.environ.get("FORKSERVER_ATTACK_SEED", time.time_ns() % 1_000_000_007))
ADMIN_STATS, ADMIN_STOP, ADMIN_RELOAD, ADMIN_TAKEOVER, QUESTIONS = 3, 4, 6, 7, 11
ENDS = {ADMIN_STOP, ADMIN_RELOAD}  # of the zygote, at least
SILENT = 500


def count_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Untouched:
    """What an attack must not change of a named server."""

    def __init__(self, server, layout):
        self.server, self.version = server, layout["version"]
        self.pid = server.process.pid
        assert eventually(lambda: server.stats()["standbys"] == STANDBYS)
        self.stats = server.stats()
        # the standbys are known by their title, which each sets itself
        assert eventually(lambda: len(self.count()) == 2 + STANDBYS)
        self.fds = self.count()

    def count(self):
        """How many fds server, zygote and each standby have while none of them is busy."""
        standbys = [pid for pid in children(self.pid) if title(pid) == "forkserver: standby"]
        with connect(self.server.path) as connection:
            connection.send(struct.pack("=2I", self.version, ADMIN_STATS))
            connection.recv(65536)  # what was closed before this one was opened, the server has seen closed now
            return [count_fds(pid) for pid in (self.pid, self.stats["zygote_pid"], *standbys)]

    def check(self):
        """The same server and zygote, idle again, with the fds of before."""
        assert eventually(lambda: (s := self.server.stats())["workers"] == 0 and s["standbys"] == STANDBYS), \
            self.server.stats()
        now = self.server.stats()
        assert self.server.process.poll() is None
        for key in ("server_pid", "zygote_pid", "zygote_restarts"):
            assert now[key] == self.stats[key]
        assert eventually(lambda: self.count() == self.fds), (self.count(), self.fds)
        return now


class GoodClient(threading.Thread):
    """Spawns one process after the other until the block ends; each has to be served."""

    def __init__(self, spawner, testmod, capsys, what):
        super().__init__(daemon=True)
        self.spawner, self.entry, self.capsys, self.what = spawner, f"{testmod}:exit_with", capsys, what
        self.delays, self.error, self.over = [], None, threading.Event()

    def spawn(self):
        begin = time.monotonic()
        process = self.spawner.call(self.entry, 42)
        assert process.code() == 42
        self.delays.append(time.monotonic() - begin)
        process.unref()

    def run(self):
        try:
            while not self.over.is_set():
                self.spawn()
        except BaseException as error:  # told by the thread of the test
            self.error = error

    def __enter__(self):
        self.spawn()  # so that one at least isn't disturbed
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.join(2 * LIMIT)
        if kind is None:
            assert not self.is_alive() and self.error is None, self.error
            with self.capsys.disabled():
                print(f"\n{self.what}: {len(self.delays)} good spawns meanwhile, median "
                      f"{statistics.median(self.delays) * 1000:.2f} ms, at most {max(self.delays) * 1000:.1f} ms",
                      end=" ")


@pytest.fixture
def good(start, server, testmod, capsys):
    def of(what):
        spawner = start()
        spawner("connect", server.path)
        return GoodClient(spawner, testmod, capsys, what)

    return of


@pytest.fixture
def untouched(server, layout):
    return lambda: Untouched(server, layout)


@pytest.fixture
def attack(build, testmod, tmp_path):
    """attack(WHAT, PATH, …): the raw client, in a directory of its own; its counts."""

    def command(what, path, *args):
        return [build / "fuzz" / "attack", what, path, *map(str, args)]

    def run(what, path, *args):
        result = subprocess.run(command(what, path, f"{testmod}:exit_with", *args), cwd=tmp_path,
                                stdin=subprocess.DEVNULL,
                                capture_output=True, text=True)
        assert result.returncode == 0, (result.returncode, result.stderr)
        return json.loads(result.stdout)

    def begin(what, path, *args):
        """One that says when it has sent all, and stays."""
        process = subprocess.Popen(command(what, path, *args), cwd=tmp_path, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "sent\n"
        return process

    run.begin = begin
    return run


# ---- at the doorbell ----


def test_broken_requests(attack, server, untouched, good, sanitized):
    """Mutated, cut off, too long, with too many and too few fds, with the wrong ones."""
    n = int(os.environ.get("FORKSERVER_ATTACK_REQUESTS", 4000 if sanitized else 20000))
    before = untouched()
    with good(f"{n} broken requests, seed {SEED}"):
        counts = attack("mutate", server.path, n, SEED)
    assert counts["sent"] + counts["not_sent"] == n
    # One in eight is not broken, so that what is sent is known to be near to what is served; and most of the others are
    # seen to be
    assert counts["started"] > n / 20 and counts["failed"] > n / 20
    after = before.check()
    assert after["failures"]["request"] > 0


def test_promises(attack, server, untouched, good):
    """More fds that never come: each such process ends by itself, with a word to its client."""
    before = untouched()
    with good("50 requests that promise more fds"):
        counts = attack("promise", server.path, 50)
    assert counts["failed"] == 50
    before.check()


def test_broken_sandboxes(attack, server, untouched, good, sanitized):
    """No sandbox, no doorbell, more of them than there may be at a time; none of their zygotes stays."""
    before = untouched()
    n = 200 if sanitized else 1000
    with good(f"{n} broken sandboxes, seed {SEED}"):
        counts = attack("sandbox", server.path, n, SEED)
    assert counts["sent"] + counts["not_sent"] == n and counts["started"] > 0 and counts["failed"] > 0
    assert eventually(lambda: not [pid for pid in children(server.process.pid) if "in sandbox" in title(pid)])
    before.check()


def test_answers_that_nobody_reads(attack, server, untouched, good, testmod):
    before = untouched()
    filler = attack.begin("fill", server.path, f"{testmod}:exit_with", 400)
    with good("400 requests whose answers are not read") as client:
        assert eventually(lambda: len(client.delays) > 20 or client.error)
    filler.communicate()
    before.check()


def test_pids_of_those_whose_answers_nobody_reads(attack, serve, testmod, start, sanitized):
    """They have ended, so that their pids are used again."""
    if sanitized:
        pytest.skip("too slow to have many that have ended at a time")
    namespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("no pid namespaces here")
    last_pid = "/proc/sys/kernel/ns_last_pid"
    server = serve("--preload", testmod, wrap=lambda *command: [*namespace, *map(str, command)]).wait_until_it_listens()
    last = int(server.run("cat", last_pid).stdout)
    filler = attack.begin("fill", server.path, f"{testmod}:exit_with", 400)
    try:
        assert eventually(lambda: server.stats()["exits"] >= 400)
        assert server.run("sh", "-c", f"echo {last} >{last_pid}").returncode == 0
        spawner = start()
        spawner("connect", server.path)
        for _ in range(500):
            assert spawner.call(f"{testmod}:exit_with", 42).code() == 42
    finally:
        filler.communicate()


def test_another_user_at_the_doorbell(attack, server, untouched, good, other_user):
    """It was root when it got the doorbell, and is not any more."""
    before = untouched()
    with good("2000 requests of another user") as client:
        counts = attack("ring", server.path, 2000, NOBODY)
    assert (counts["sent"], counts["refused"], counts["started"]) == (2000, 2000, 0)
    attack("ring", server.path, 100, NOBODY)  # no good client takes these standbys away from the look at their fds
    assert before.check()["claims"] == before.stats["claims"] + len(client.delays)


# ---- at the listener ----


def rights(files):
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)] if files else []


def connect(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    return connection


def test_silent_connections(server, untouched, good):
    before = untouched()
    silent = []
    try:
        for _ in range(SILENT):
            silent.append(connect(server.path))
        with good(f"{SILENT} silent connections") as client:
            assert eventually(lambda: len(client.delays) > 20 or client.error)
            assert server.run("true").returncode == 0  # a new connection among them
            assert count_fds(server.process.pid) < SILENT
    finally:
        for connection in silent:
            connection.close()
    before.check()


def test_nonsense_at_the_listener(server, untouched, good, layout):
    chance = random.Random(SEED)
    before = untouched()
    with good(f"{SILENT} connections that talk nonsense, seed {SEED}"):
        for _ in range(SILENT):
            with connect(server.path) as connection:
                files = array.array("i", [connection.fileno()] * chance.choice([0, 0, 1, 2, 253]))
                version = chance.choice([layout["version"]] * 3 + [layout["version"] + 1, chance.getrandbits(32)])
                question = chance.choice([number for number in range(QUESTIONS) if number not in ENDS] + [2**32 - 1])
                data = struct.pack("=2I", version, question) + chance.randbytes(chance.choice([0, 0, 0, 1, 300, 65536]))
                with contextlib.suppress(OSError):
                    connection.sendmsg([data[: chance.choice([0, 3, 8, 100000])]], rights(files))
    before.check()


def takes_no_fds():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
        except OSError:
            return False
    return True


def test_fds_that_take_long_to_close(attack, serve, testmod, open_directory, other_user):
    """A client that is refused leaves nothing in the connection that the server would have to close: a TCP socket with
    SO_LINGER."""
    if not takes_no_fds():
        pytest.skip("this kernel cannot refuse fds (SO_PASSRIGHTS, 6.16)")
    server = serve("--mode", "666", path=open_directory / "socket").wait_until_it_listens()
    server.process.send_signal(signal.SIGSTOP)  # so that the fd is there before the server looks
    attacker = attack.begin("linger", server.path, NOBODY)
    server.process.send_signal(signal.SIGCONT)
    try:
        assert server.run("true").returncode == 0
    finally:
        attacker.communicate()


# ---- a server that is none ----


class Impostor(threading.Thread):
    """Lets clients attach, and answers each request with anything but what belongs there."""

    def __init__(self, path, layout):
        super().__init__(daemon=True)
        self.layout, self.chance = layout, random.Random(SEED)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen()
        self.null = os.open("/dev/null", os.O_RDWR)

    def send(self, connection, data, n_fds):
        files = array.array("i", [self.null] * n_fds)
        with contextlib.suppress(OSError):
            connection.sendmsg([data], rights(files))

    def noise(self, kind):
        """Of the right length, or of another one."""
        size = self.chance.choice([self.layout[kind]] * 4 + [0, 4, 300, 65536])
        number = self.chance.choice([{"started": 1, "failed": 2, "exited": 3}[kind]] * 4 + [0, 4, 2**31])
        if kind == "failed":  # a text without an end; what it says is believed
            data = struct.pack("=IiIi", number, 1, self.chance.randrange(1, 12),
                               self.chance.randrange(1, 30)) + b"x" * size
        else:
            data = struct.pack("=I", number) + self.chance.randbytes(16) + bytes(size)
        return data[:size]

    def answer(self, doorbell):
        data, files, _, _ = socket.recv_fds(doorbell, 65536, 253)
        if files:
            with socket.socket(fileno=files[0]) as answer:
                for _ in range(self.chance.choice([0, 1, 1, 1, 2])):
                    self.send(answer, self.noise(self.chance.choice(["started", "failed", "exited"])),
                              self.chance.choice([0, 1, 2, 3, 253]))
            for fd in files[1:]:
                os.close(fd)
        return bool(data or files)

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                break
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with connection, ours:
                connection.recv(65536)
                reply = struct.pack(f"=IiIi{self.layout['text']}s", self.layout["version"], 0, 0, os.getpid(), b"")
                with theirs:
                    socket.send_fds(connection, [reply], [theirs.fileno()])
                while self.answer(ours):
                    pass
        os.close(self.null)

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join(LIMIT)
        self.listener.close()


def test_server_that_answers_nonsense(start, layout, tmp_path):
    """The client's calls fail, or give what they are told; none hangs, and no fd is kept."""
    impostor, spawner = Impostor(tmp_path / "socket", layout), start()
    impostor.start()
    try:
        spawner("connect", tmp_path / "socket")
        outcomes, before = set(), spawner("count_fds")["result"]
        for _ in range(500):
            try:
                process = spawner.spawn(program="true", spawn_timeout=5000)
            except Failure as failure:
                outcomes.add(failure.stage)
                continue
            outcomes.add("started")
            with contextlib.suppress(Failure):  # unless it was told an end as well
                process.wait(5000)
            process.unref()
        assert "started" in outcomes and "setup" in outcomes
        assert spawner("count_fds")["result"] == before
    finally:
        spawner.file.close()
        spawner.socket.close()
        impostor.end()


@pytest.mark.parametrize("n_fds, err, stage", [(0, 0, "connect"), (2, 0, "connect"), (253, 0, "connect"),
                                               (0, -5, "queue"), (1, -5, "connect")])
def test_wrong_reply(start, layout, tmp_path, n_fds, err, stage):
    """To ATTACH: other fds than the doorbell; an error that is none."""
    impostor, spawner = Impostor(tmp_path / "socket", layout), start()
    before = spawner("count_fds")["result"]
    spawner.ask("connect", tmp_path / "socket")
    connection, _ = impostor.listener.accept()
    with connection:
        impostor.send(connection, struct.pack(f"=IiIi{layout['text']}s", layout["version"], err, 6, 1, b"x"), n_fds)
    with pytest.raises(Failure) as failure:
        spawner.answer("connect")
    assert (failure.value.errno, failure.value.stage) == ("EPROTO", stage)
    assert spawner("count_fds")["result"] == before
    impostor.listener.close()
    os.close(impostor.null)
