# SPDX-License-Identifier: MIT
"""A server that runs for months: how it starts, tells that it is ready, reloads, is taken over from, and is watched."""

import contextlib
import json
import os
import pathlib
import pty
import re
import resource
import signal
import socket
import subprocess
import threading

import pytest

from conftest import NOBODY, as_nobody
from spawner import children
from test_run import LIMIT, build_module, eventually  # noqa: F401: a fixture
from test_serve import Server, call, open_directory, serve  # noqa: F401: fixtures

VERSION = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int version;
static int read_word(char *word) { FILE *f = fopen(getenv("VERSION"), "r"); int r = f ? fscanf(f, "%15s", word) : 0;
                                   if (f) fclose(f); return r; }
static void hold(void) { while (getenv("HOLD") && access(getenv("HOLD"), F_OK) == 0) usleep(1000); }
int forkserver_preload(void) {
        char word[16];
        if (read_word(word) != 1) return -1;
        while (word[0] == 'h') { usleep(1000); if (read_word(word) != 1) strcpy(word, "h"); } /* it hangs so long */
        if (word[0] == 'f') return 5;
        if (word[0] == 'c') abort();
        version = atoi(word);
        if (version == 1) pthread_atfork(hold, NULL, NULL);
        return 0;
}
int get(int c, char **v) { return version; }
int say(int c, char **v) { printf("%d\\n", version); return 0; }
"""


@pytest.fixture
def versioned(serve, build_module, tmp_path, monkeypatch):  # noqa: F811
    """A server whose module returns what it read from a file when it was loaded."""
    (tmp_path / "version").write_text("1")
    monkeypatch.setenv("VERSION", str(tmp_path / "version"))
    module = build_module("version", VERSION)

    class Versioned:
        file = tmp_path / "version"
        entry = f"{module}:get"

        def start(self, *options, **more):
            self.server = serve("--preload", module, *options, **more)
            return self

        def get(self, *options):
            return self.server.run(*options, "--call", self.entry).returncode

        def reload(self, *options):
            return call(self.server.forkserver, "reload", "--socket", self.server.path, *options)

    found = Versioned()
    found.module = module
    return found


def connect(path, kind=socket.SOCK_SEQPACKET):
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.connect(path)  # it waits for room in the backlog, as it has no time-out yet
    sock.settimeout(LIMIT)
    return sock


# ---- a reload ----


def test_reload(versioned):
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    zygote = server.stats()["zygote_pid"]
    versioned.file.write_text("2")
    assert versioned.get() == 1
    result = versioned.reload()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert [versioned.get() for _ in range(8)] == [2] * 8
    stats = server.stats()
    assert stats["zygote_pid"] != zygote and stats["reloads"] == 1 and stats["zygote_restarts"] == 0
    assert eventually(lambda: not os.path.exists(f"/proc/{zygote}"))
    assert eventually(lambda: server.stats()["standbys"] == 4)


def test_sighup_reloads(versioned):
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("2")
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: server.stats()["reloads"] == 1)
    assert eventually(lambda: versioned.get() == 2)


def test_a_terminal_that_is_closed_ends_the_server(forkserver, tmp_path):
    master, terminal = pty.openpty()
    path = str(tmp_path / "socket")
    command = ["setsid", "--ctty", forkserver, "serve", "--socket", path]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    assert call(forkserver, "ping", "--wait", "30", "--socket", path).returncode == 0
    os.close(master)
    assert process.wait(LIMIT) == 0 and not os.path.exists(path)


@pytest.mark.parametrize("word, why", [("fails", "forkserver_preload(): Input/output error"), ("crashes", "SIGABRT")])
def test_a_reload_that_fails(versioned, word, why):
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text(word)
    result = versioned.reload()
    assert result.returncode == 125 and why in result.stderr and versioned.module in result.stderr
    assert versioned.get() == 1
    stats = server.stats()
    assert (stats["reloads"], stats["failed_reloads"], stats["is_ready"]) == (0, 1, 1)
    assert "the reload failed, and what was loaded before stays" in server.read_log()
    versioned.file.write_text("3")
    assert versioned.reload().returncode == 0
    assert versioned.get() == 3


def test_a_reload_that_hangs(versioned):
    versioned.start("--preload-timeout", "500ms").server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("hangs")
    started = subprocess.Popen([versioned.server.forkserver, "reload", "--socket", versioned.server.path],
                               stderr=subprocess.PIPE, text=True)
    while started.poll() is None:
        assert versioned.get() == 1
    assert started.returncode == 125 and "did not finish loading" in started.communicate()[1]
    assert versioned.get() == 1


def test_reload_gives_up_waiting(versioned):
    versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("hangs")
    result = versioned.reload("--timeout", "100ms")
    assert result.returncode == 125 and "timed out" in result.stderr
    versioned.file.write_text("4")
    assert eventually(lambda: versioned.get() == 4)


def test_two_reloads_at_once(versioned):
    """The second one may be for a file that the first one has read too early."""
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("hangs")
    command = [server.forkserver, "reload", "--socket", server.path]
    first = subprocess.Popen(command)
    assert eventually(lambda: "a new zygote loads" in server.read_log())
    second = subprocess.Popen(command)
    versioned.file.write_text("5")
    assert first.wait(LIMIT) == 0 and second.wait(LIMIT) == 0
    assert versioned.get() == 5
    assert server.stats()["reloads"] == 2


def test_a_standby_that_comes_late(versioned, tmp_path, monkeypatch):
    """The old zygote has been told to fork one, and does so when the new one has taken over already."""
    monkeypatch.setenv("HOLD", str(tmp_path / "hold"))
    server = versioned.start("--standbys", 1).server.wait_until_it_listens()
    assert versioned.get() == 1
    assert eventually(lambda: server.stats()["standbys"] == 1)
    (tmp_path / "hold").touch()
    assert versioned.get() == 1
    versioned.file.write_text("2")
    reload = subprocess.Popen([server.forkserver, "reload", "--socket", server.path])
    assert eventually(lambda: "has taken over" in server.read_log())
    assert versioned.get() == 2
    (tmp_path / "hold").unlink()
    assert reload.wait(LIMIT) == 0
    assert [versioned.get() for _ in range(4)] == [2] * 4


def test_a_reload_that_fails_at_once(versioned):
    """There are too few files for another zygote, or for parts of it."""
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    pid, limits = server.process.pid, resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    for _ in range(3):
        assert versioned.get() == 1
        numbers = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        second = [number for number in range(len(numbers) + 3) if number not in numbers][1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (second, limits[1]))
        result = versioned.reload()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        assert result.returncode == 125 and "Too many open files" in result.stderr
    assert versioned.reload().returncode == 0


def test_workers_outlive_a_reload(versioned):
    server = versioned.start().server.wait_until_it_listens()
    worker = server.start("sh", "-c", "echo; read x; exit 9")
    worker.stdout.readline()
    assert versioned.reload().returncode == 0
    assert server.stats()["workers"] == 1
    worker.communicate("\n", timeout=LIMIT)
    assert worker.returncode == 9


def test_a_failed_start_is_mended_by_a_reload(versioned):
    versioned.file.write_text("fails")
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 125
    versioned.file.write_text("6")
    assert versioned.reload().returncode == 0
    assert versioned.get() == 6
    assert server.stats()["failure"] == ""


def test_a_server_that_ends_does_not_reload(versioned):
    server = versioned.start().server.wait_until_it_listens()
    worker = server.start("sh", "-c", "echo; read x")
    worker.stdout.readline()
    versioned.file.write_text("hangs")
    command = [server.forkserver, "reload", "--socket", server.path]
    waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: "a new zygote loads" in server.read_log())
    server.terminate()
    assert "is ending" in waiting.communicate(timeout=LIMIT)[1] and waiting.returncode == 125
    worker.communicate("\n", timeout=LIMIT)
    assert server.process.wait(LIMIT) == 0


@contextlib.contextmanager
def in_a_sandbox(versioned):
    """A client that has one sandbox, and returns what comes of the next call in it."""
    command = [versioned.server.forkserver, "map", "-j", "1", "--socket", versioned.server.path, "--sandbox",
               "no-network", "--call", f"{versioned.module}:say"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        def get():
            client.stdin.write("item\n")
            client.stdin.flush()
            return int(client.stdout.readline())

        yield get
        client.stdin.close()


def test_a_sandbox_is_renewed(versioned):
    versioned.start().server.wait_until_it_listens()
    with in_a_sandbox(versioned) as get:
        assert [get(), get()] == [1, 1]
        versioned.file.write_text("2")
        assert versioned.reload().returncode == 0
        assert [get(), get()] == [2, 2]


def spawn_all_the_time(server, entry, until, outcomes):
    while not until.is_set():
        outcomes.append(server.run("--call", entry).returncode)


@contextlib.contextmanager
def load(versioned):
    outcomes, until = [], threading.Event()
    threads = [threading.Thread(target=spawn_all_the_time, args=(versioned.server, versioned.entry, until, outcomes))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    yield outcomes
    until.set()
    for thread in threads:
        thread.join()


def test_reloads_under_load(versioned):
    versioned.start().server.wait_until_it_listens()
    with load(versioned) as outcomes:
        for number in range(2, 12):
            versioned.file.write_text(str(number))
            assert versioned.reload().returncode == 0
            assert versioned.get() == number
    assert set(outcomes) <= set(range(1, 12)), outcomes
    assert versioned.server.stats()["reloads"] == 10


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_who_may_reload(serve, open_directory):  # noqa: F811
    server = serve("--mode", "666", "--allow-uid", NOBODY, path=open_directory / "socket").wait_until_it_listens()
    for command, why in (["reload"], "only its own uid and root may reload"), \
                        (["serve", "--takeover"], "only its own uid and root may take over"):
        result = call(*as_nobody(server.forkserver, *command, "--socket", server.path))
        assert result.returncode == 125 and why in result.stderr
    assert server.run("true").returncode == 0


def test_names(versioned):
    """As top and pstree show them."""
    server = versioned.start("--standbys", 2).server.wait_until_it_listens()
    assert eventually(lambda: server.stats()["standbys"] == 2)

    def names():
        return sorted(pathlib.Path(f"/proc/{pid}/comm").read_text() for pid in children(server.process.pid))

    assert pathlib.Path(f"/proc/{server.process.pid}/comm").read_text() == "fsrv server\n"
    assert eventually(lambda: names() == ["fsrv standby\n", "fsrv standby\n", "fsrv zygote\n"]), names()


# ---- files that have been replaced ----


def replace(module):
    data = open(module, "rb").read()
    with open(module + ".new", "wb") as file:
        file.write(data)
    os.chmod(module + ".new", 0o755)
    os.rename(module + ".new", module)


def test_a_replaced_file_is_told_of(versioned):
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    assert server.stats()["replaced"] == ""
    replace(versioned.module)
    assert eventually(lambda: server.stats()["replaced"] == versioned.module)
    assert f"'{versioned.module}' has been replaced on disk since it was loaded" in server.read_log()
    versioned.file.write_text("2")
    assert versioned.get() == 1, "what is loaded stays"
    assert versioned.reload().returncode == 0
    assert server.stats()["replaced"] == "" and versioned.get() == 2


def test_what_only_seems_replaced(versioned):
    """A file that is gone for a moment, and one whose neighbours change."""
    server = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    os.link(versioned.module, versioned.module + ".kept")
    os.unlink(versioned.module)
    assert versioned.get() == 1
    assert server.stats()["replaced"] == ""
    os.rename(versioned.module + ".kept", versioned.module)
    replace(versioned.module[:-3] + ".c")
    assert versioned.get() == 1
    assert server.stats()["replaced"] == ""


@pytest.mark.parametrize("way", ["rename", "remove first", "write"])
def test_auto_reload(versioned, way):
    server = versioned.start("--auto-reload").server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("2")
    if way == "rename":
        replace(versioned.module)
    else:
        data = open(versioned.module, "rb").read()
        if way == "remove first":
            os.unlink(versioned.module)
            assert server.stats()["replaced"] == ""
        with open(versioned.module, "r+b" if way == "write" else "wb") as file:
            file.write(data)
        os.chmod(versioned.module, 0o755)
    assert eventually(lambda: server.stats()["reloads"] == 1)
    assert versioned.get() == 2


def test_auto_reload_of_a_file_that_was_broken(versioned):
    server = versioned.start("--auto-reload").server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("2")
    whole = open(versioned.module, "rb").read()
    for content in whole[:3000], whole:
        with open(versioned.module + ".new", "wb") as file:
            file.write(content)
        os.rename(versioned.module + ".new", versioned.module)
        key = "reloads" if content == whole else "failed_reloads"
        assert eventually(lambda: server.stats()[key] == 1)
    assert versioned.get() == 2


# ---- a takeover ----


def test_takeover(versioned, serve):  # noqa: F811
    old = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    worker = old.start("sh", "-c", "echo; read x; exit 9")
    worker.stdout.readline()
    versioned.file.write_text("2")
    versioned.start("--takeover", path=old.path)
    assert eventually(lambda: versioned.server.stats()["server_pid"] == versioned.server.process.pid)
    assert versioned.get() == 2
    assert old.process.poll() is None, "it stays for its worker"
    worker.communicate("\n", timeout=LIMIT)
    assert worker.returncode == 9
    assert old.process.wait(LIMIT) == 0
    assert versioned.get() == 2
    versioned.server.terminate()
    assert versioned.server.process.wait(LIMIT) == 0 and not os.path.exists(old.path)


def test_a_takeover_that_fails(versioned):
    old = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("fails")
    new = Server(old.forkserver, old.path, "--takeover", "--preload", versioned.module)
    try:
        assert new.process.wait(LIMIT) == 125
        assert versioned.get() == 1 and old.stats()["server_pid"] == old.process.pid
    finally:
        new.end()


@pytest.mark.parametrize("files", [14, 15, 16, 17, 18])
def test_a_takeover_that_breaks_off(versioned, files):
    """At some step, for want of files. Either of the two serves then."""
    old = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    shell = f'ulimit -n {files}; exec "$@"'
    new = versioned.start("--takeover", path=old.path,
                          wrap=lambda *command: ["sh", "-c", shell, "sh", *map(str, command)]).server
    assert eventually(lambda: new.process.poll() is not None or old.process.poll() is not None)
    assert versioned.get() == 1
    assert new.process.poll() in (None, 125) and old.process.poll() in (None, 0)


def test_a_takeover_that_is_killed(versioned):
    old = versioned.start().server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("hangs")
    for _ in range(3):
        new = versioned.start("--takeover", path=old.path).server
        assert eventually(lambda: "to take over" in new.read_log())
        new.process.kill()
        new.process.wait()
        assert versioned.get() == 1


def test_a_signal_to_the_old_server(versioned):
    """It has been draining since the takeover, and the first signal asks for no more than that."""
    old = versioned.start().server.wait_until_it_listens()
    worker = old.start("sh", "-c", "echo; read x; exit 9")
    worker.stdout.readline()
    versioned.start("--takeover", path=old.path)
    assert eventually(lambda: "another server has taken over" in old.read_log())
    old.terminate()
    assert versioned.get() == 1
    worker.communicate("\n", timeout=LIMIT)
    assert worker.returncode == 9 and old.process.wait(LIMIT) == 0


def test_a_takeover_from_nobody(serve):  # noqa: F811
    server = serve("--takeover").wait_until_it_listens()
    assert server.run("true").returncode == 0


def test_a_takeover_keeps_sandboxes(versioned):
    old = versioned.start().server.wait_until_it_listens()
    with in_a_sandbox(versioned) as get:
        assert [get(), get()] == [1, 1]
        versioned.file.write_text("2")
        versioned.start("--takeover", path=old.path)
        assert old.process.wait(LIMIT) == 0
        assert [get(), get()] == [2, 2]


def test_takeovers_under_load(versioned):
    servers = [versioned.start().server.wait_until_it_listens()]
    with load(versioned) as outcomes:
        for _ in range(3):
            servers.append(versioned.start("--takeover", path=servers[0].path).server)
            assert eventually(lambda: servers[-1].stats()["server_pid"] == servers[-1].process.pid)
            assert servers[-2].process.wait(LIMIT) == 0
    assert set(outcomes) == {1}, outcomes


# ---- the start ----


def test_fail_fast(serve):  # noqa: F811
    server = serve("--fail-fast", "--preload", "/no/such/module.so")
    assert server.process.wait(LIMIT) == 125
    assert "/no/such/module.so" in server.read_log() and not os.path.exists(server.path)


def test_ping(versioned):
    versioned.file.write_text("hangs")
    server = versioned.start().server.wait_until_it_listens()

    def ping(*options):
        return call(server.forkserver, "ping", "--socket", server.path, *options)

    assert ping().returncode == 0
    result = ping("--ready")
    assert result.returncode == 125 and "loading its modules" in result.stderr
    versioned.file.write_text("fails")
    assert eventually(lambda: ping().returncode == 125)
    assert "forkserver_preload()" in ping().stderr


def test_run_waits_for_the_server(forkserver, serve, tmp_path):  # noqa: F811
    command = [forkserver, "run", "--wait", "30", "--socket", tmp_path / "socket", "sh", "-c", "exit 7"]
    client = subprocess.Popen(command)
    serve()
    assert client.wait(LIMIT) == 7
    result = call(forkserver, "run", "--wait", "50ms", "--socket", tmp_path / "none", "true")
    assert result.returncode == 125 and "No such file" in result.stderr
    result = call(forkserver, "run", "--wait", "1", "true")
    assert result.returncode == 125 and "--wait is for the server at --socket" in result.stderr


def test_ready_fd(versioned, tmp_path):
    versioned.file.write_text("hangs")
    os.mkfifo(tmp_path / "ready")
    reader = os.open(tmp_path / "ready", os.O_RDONLY | os.O_NONBLOCK)
    shell = f'exec "$@" 5>{tmp_path}/ready'
    versioned.start("--ready-fd", 5, wrap=lambda *command: ["sh", "-c", shell, "sh", *map(str, command)])
    versioned.server.wait_until_it_listens()
    with pytest.raises(BlockingIOError):
        os.read(reader, 8)
    versioned.file.write_text("1")
    os.set_blocking(reader, True)
    with open(reader, "rb") as file:
        assert file.read() == b"\n"


@pytest.fixture
def supervisor(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(LIMIT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield lambda: dict(line.split("=", 1) for line in sock.recv(4096).decode().split("\n") if line)


def test_systemd_is_told(versioned, supervisor):
    server = versioned.start().server
    message = supervisor()
    assert message["READY"] == "1" and message["MAINPID"] == str(server.process.pid)
    environment = server.run("env").stdout
    assert "NOTIFY_SOCKET" in environment, "that is the caller's"
    with open(f"/proc/{server.stats()['zygote_pid']}/environ", "rb") as file:
        assert b"NOTIFY_SOCKET" not in file.read(), "a module that speaks for the service would end it"
    versioned.reload()
    message = supervisor()
    assert message["RELOADING"] == "1" and int(message["MONOTONIC_USEC"]) > 0
    assert supervisor()["READY"] == "1"
    server.terminate()
    assert supervisor()["STOPPING"] == "1"


def test_systemd_is_not_told_too_early(versioned, supervisor):
    versioned.file.write_text("fails")
    server = versioned.start().server
    message = supervisor()
    assert "READY" not in message and "forkserver_preload()" in message["STATUS"]
    versioned.file.write_text("1")
    assert eventually(lambda: versioned.get() == 1)
    while "READY" not in supervisor():
        pass
    assert server.process.poll() is None


def test_a_module_cannot_give_orders_to_systemd(forkserver, supervisor, tmp_path):
    path = tmp_path / "x\nMAINPID=1\nREADY=1\n.so"
    server = Server(forkserver, str(tmp_path / "socket"), "--preload", path)
    try:
        message = supervisor()
        assert list(message) == ["STATUS"] and "MAINPID=1" in message["STATUS"]
    finally:
        server.end()


def test_watchdog(serve, supervisor, monkeypatch):  # noqa: F811
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    serve()
    seen = [supervisor() for _ in range(5)]
    assert sum("WATCHDOG" in message for message in seen) >= 3


ACTIVATE = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[1]))
sock.bind(sys.argv[2])
sock.listen()
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[3], sys.argv[3:])
"""


def activate(server_path, forkserver, *options, kind="SOCK_SEQPACKET"):
    command = ["python3", "-c", ACTIVATE, kind, server_path, forkserver, "serve", *options]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("named", [False, True])
def test_socket_activation(forkserver, tmp_path, named):
    path = str(tmp_path / "given")
    process = activate(path, forkserver, *["--socket", path] if named else [])
    try:
        script = "echo $LISTEN_FDS$LISTEN_PID; ls -l /proc/self/fd"
        result = call(forkserver, "run", "--wait", "30", "--socket", path, "sh", "-c", script)
        assert result.returncode == 0 and result.stdout.splitlines()[0] == "" and "socket" not in result.stdout
    finally:
        process.terminate()
        assert process.wait(LIMIT) == 0
        process.communicate()
    assert os.path.exists(path), "it is the supervisor's"


def test_socket_activation_by_a_wrong_socket(forkserver, tmp_path):
    process = activate(str(tmp_path / "given"), forkserver, kind="SOCK_STREAM")
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 125 and "ListenSequentialPacket=" in errors


def test_servers_that_start_at_once(forkserver, tmp_path):
    """One of them stays, and it is the one that is found; also where a dead one has left its socket."""
    path = str(tmp_path / "socket")
    for _ in range(5):
        servers = [Server(forkserver, path) for _ in range(6)]
        try:
            assert eventually(lambda: sum(server.process.poll() is None for server in servers) == 1)
            left = next(server for server in servers if server.process.poll() is None)
            assert left.wait_until_it_listens().stats()["server_pid"] == left.process.pid
            assert all(server.process.poll() == 125 for server in servers if server is not left)
            assert os.listdir(tmp_path) == ["socket"]
        finally:
            for server in servers:
                server.process.kill()
                server.end()


def test_a_path_of_every_length(forkserver, serve, tmp_path):  # noqa: F811
    for length in (106, 107):
        directory = tmp_path / ("d" * (length - len(str(tmp_path)) - 3))
        directory.mkdir()
        path = str(directory / "s")
        assert len(path) == length
        server = serve(path=path).wait_until_it_listens()
        assert server.run("true").returncode == 0
        assert os.listdir(directory) == ["s"]


# ---- the log ----


def test_json_log(versioned):
    server = versioned.start("--log-format", "json").server.wait_until_it_listens()
    assert versioned.get() == 1
    lines = [json.loads(line) for line in server.read_log().splitlines()]
    assert lines[0]["level"] == "info" and lines[0]["pid"] == server.process.pid
    assert lines[0]["message"].startswith("listening on ")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)


def fill(pipe):
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    os.set_blocking(pipe, True)


def test_a_log_that_nobody_reads(forkserver, tmp_path):
    """The server goes on, and says later how much is lost."""
    reader, writer = os.pipe()
    fill(writer)
    path = str(tmp_path / "socket")
    process = subprocess.Popen([forkserver, "serve", "--socket", path], stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    try:
        assert call(forkserver, "run", "--wait", "30", "--socket", path, "true").returncode == 0
        assert call(forkserver, "reload", "--socket", path).returncode == 0
        os.set_blocking(reader, False)
        while os.read(reader, 65536).count(b"x") == 65536:
            pass
    except BlockingIOError:
        pass
    finally:
        process.terminate()
        os.set_blocking(reader, True)
        with open(reader, "rb") as file:
            text = file.read().decode()
        assert process.wait(LIMIT) == 0
    assert re.search(r"forkserver: \d+ lines of this log were lost\nforkserver: draining", text.lstrip("x"))


def test_a_log_on_a_full_disk(forkserver, tmp_path):
    path = str(tmp_path / "socket")
    with open("/dev/full", "w") as full:
        process = subprocess.Popen([forkserver, "serve", "--socket", path], stderr=full, stdin=subprocess.DEVNULL)
    try:
        assert call(forkserver, "run", "--wait", "30", "--socket", path, "true").returncode == 0
    finally:
        process.terminate()
        assert process.wait(LIMIT) == 0


# ---- metrics ----


def parse(text):
    """The series of an OpenMetrics text, which has to be one."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    series, families = {}, {}
    for line in lines[:-2]:
        if line.startswith("# "):
            match = re.fullmatch(r"# (TYPE|HELP) (forkserver_\w+) (.+)", line)
            if match[1] == "TYPE":
                assert match[2] not in families
                families[match[2]] = match[3]
            continue
        match = re.fullmatch(r'((forkserver_\w+?)(_total|_bucket|_sum|_count)?)(\{\w+="[^"]+"\})? ([0-9.]+)', line)
        assert match, line
        kind = families.get(match[2]) or families[match[1]]
        assert (kind == "counter") == (match[3] == "_total") or kind == "histogram", line
        name = match[1] + (match[4] or "")
        assert name not in series
        series[name] = float(match[5])
    return series


def scrape(connection):
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    data = b""
    while part := connection.recv(65536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n") and b"application/openmetrics-text" in head
    assert f"Content-Length: {len(body)}".encode() in head
    return parse(body.decode())


def test_metrics(serve, tmp_path, testmod):  # noqa: F811
    path = str(tmp_path / "metrics")
    server = serve("--metrics", path, "--preload", testmod).wait_until_it_listens()
    with connect(path, socket.SOCK_STREAM) as connection:
        before = scrape(connection)
    assert before['forkserver_worker_deaths_total{signal="SIGSEGV"}'] == 0
    assert before['forkserver_failures_total{stage="exec"}'] == 0
    assert server.run("--call", f"{testmod}:die_by", 11).returncode == -11
    assert server.run("/no/such/program").returncode == 127
    assert server.run("--timeout", "50ms", "sleep", "60").returncode == -9
    assert server.run("false").returncode == 1
    assert eventually(lambda: server.stats()["exits"] == 4)
    result = call(server.forkserver, "stats", "--prometheus", "--socket", server.path)
    after = parse(result.stdout)
    assert after.keys() == before.keys(), "all series are there from the start"
    for name, more in {"spawns_total": 4, "exits_total": 4, "time_limits_total": 1,
                       'worker_deaths_total{signal="SIGSEGV"}': 1, 'failures_total{stage="exec"}': 1,
                       'run_seconds_bucket{le="+Inf"}': 4, "queue_seconds_count": 4}.items():
        assert after["forkserver_" + name] - before["forkserver_" + name] == more, name
    assert after['forkserver_worker_deaths_total{signal="SIGKILL"}'] > 0 and after["forkserver_exit_failures_total"] > 0
    assert after["forkserver_run_seconds_sum"] >= 0.05 and after["forkserver_fork_seconds_count"] > 0
    assert after["forkserver_queue_seconds_sum"] < 60
    server.terminate()
    assert server.process.wait(LIMIT) == 0 and not os.path.exists(path)


def test_metrics_of_a_server_that_could_not_take_over(versioned, tmp_path):
    path = str(tmp_path / "metrics")
    old = versioned.start("--metrics", path).server.wait_until_it_listens()
    assert versioned.get() == 1
    versioned.file.write_text("fails")
    new = versioned.start("--takeover", "--metrics", path, path=old.path).server
    assert new.process.wait(LIMIT) == 125
    with connect(path, socket.SOCK_STREAM) as connection:
        assert scrape(connection)["forkserver_ready"] == 1
    versioned.file.write_text("2")
    new = versioned.start("--takeover", "--metrics", path, path=old.path).server
    assert old.process.wait(LIMIT) == 0
    with connect(path, socket.SOCK_STREAM) as connection:
        assert scrape(connection)["forkserver_claims_total"] == 0
    assert versioned.get() == 2
    new.terminate()
    assert new.process.wait(LIMIT) == 0 and not os.path.exists(path)


def test_metrics_at_a_relative_path(serve, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    server = serve("--metrics", "metrics").wait_until_it_listens()
    with connect("metrics", socket.SOCK_STREAM) as connection:
        scrape(connection)
    server.terminate()
    assert server.process.wait(LIMIT) == 0 and os.listdir(tmp_path) == []


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_metrics_at_a_port(forkserver, serve, tmp_path):  # noqa: F811
    port = free_port()
    serve("--metrics", port).wait_until_it_listens()
    with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
        assert scrape(connection)["forkserver_ready"] in (0, 1)
    result = call(forkserver, "serve", "--metrics", port, "--socket", tmp_path / "other")
    assert result.returncode == 125 and "Address already in use" in result.stderr
    for port in "0", "65536", "99999999999999999999":
        result = call(forkserver, "serve", "--metrics", port, "--socket", tmp_path / "other")
        assert result.returncode == 125 and "not a port" in result.stderr


def test_clients_of_the_metrics_that_do_not_read(serve, tmp_path):  # noqa: F811
    path = str(tmp_path / "metrics")
    server = serve("--metrics", path).wait_until_it_listens()
    with contextlib.ExitStack() as stack:
        for i in range(200):
            silent = stack.enter_context(connect(path, socket.SOCK_STREAM))
            with contextlib.suppress(OSError):
                silent.sendall(b"GET / HTTP/1.1\r\n\r\n" * (i % 3 * 1000))
        assert server.run("true").returncode == 0
        with connect(path, socket.SOCK_STREAM) as connection:
            assert scrape(connection)["forkserver_spawns_total"] == 1
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 80
    assert server.stats()["workers"] == 0


def test_a_path_of_metrics_that_is_taken(forkserver, serve, tmp_path):  # noqa: F811
    file = tmp_path / "file"
    file.write_text("precious")
    result = call(forkserver, "serve", "--metrics", file, "--socket", tmp_path / "other")
    assert result.returncode == 125 and file.read_text() == "precious"
    path = str(tmp_path / "metrics")
    server = serve("--metrics", path).wait_until_it_listens()
    for taken in path, server.path:
        result = call(forkserver, "serve", "--metrics", taken, "--socket", tmp_path / "other")
        assert result.returncode == 125 and "Address already in use" in result.stderr
    result = call(forkserver, "serve", "--metrics", tmp_path / "m2", "--socket", server.path)
    assert result.returncode == 125 and sorted(os.listdir(tmp_path)) == ["file", "metrics", "socket"]
    result = call(forkserver, "serve", "--metrics", "", "--socket", tmp_path / "other")
    assert result.returncode == 125 and "neither a port nor a path" in result.stderr
    server.process.kill()
    server.process.wait()
    again = serve("--metrics", path, path=tmp_path / "again").wait_until_it_listens()
    with connect(path, socket.SOCK_STREAM) as connection:
        assert scrape(connection)["forkserver_workers"] == 0
    assert again.process.poll() is None


