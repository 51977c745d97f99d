# SPDX-License-Identifier: MIT
"""`forkserver serve`, `stop`, `ping`, `stats`, and `run --socket`."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time

import pytest

from conftest import MISSING, NOBODY, as_nobody
from spawner import children, title
from test_run import FORWARDED, LIMIT, eventually, is_one_line, start_witness, state, wait_for


def call(forkserver, *args, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([forkserver, *map(str, args)], capture_output=True, text=True, timeout=LIMIT, **options)


class Server:
    def __init__(self, forkserver, path, *options, wrap=lambda *command: [*map(str, command)], session=True):
        self.forkserver, self.path = forkserver, path
        self.log = tempfile.TemporaryFile()
        command = wrap(forkserver, "serve", "--socket", path, *options)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.log, start_new_session=session)

    def wait_until_it_listens(self, *options):
        def answers():
            assert self.process.poll() is None, self.read_log()
            return call(self.forkserver, "stats", "--socket", self.path, *options).returncode == 0

        assert eventually(answers), self.read_log()
        return self

    def read_log(self):
        self.log.seek(0)
        return self.log.read().decode()

    def run(self, *args, **options):
        return call(self.forkserver, "run", "--socket", self.path, *args, **options)

    def start(self, *args):
        command = [self.forkserver, "run", "--socket", self.path, *map(str, args)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def stats(self):
        result = call(self.forkserver, "stats", "--json", "--socket", self.path)
        assert (result.returncode, result.stderr) == (0, "")
        return json.loads(result.stdout)

    def terminate(self):
        """The server itself: a program around it may keep the signal to itself, as unshare(1) does."""
        processes = [self.process.pid, *children(self.process.pid)]
        pid = next((pid for pid in processes if title(pid) == "forkserver: server"), self.process.pid)
        os.kill(pid, signal.SIGTERM)

    def end(self):
        """Asks twice, so that no worker keeps it."""
        for _ in range(2):
            if self.process.poll() is None:
                self.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(LIMIT)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture
def serve(forkserver, tmp_path):
    servers = []

    def start_server(*options, path=None, **more):
        servers.append(Server(forkserver, str(path or tmp_path / "socket"), *options, **more))
        return servers[-1]

    yield start_server
    for server in servers:
        server.end()


@pytest.fixture
def server(serve, testmod):
    return serve("--preload", testmod).wait_until_it_listens()


@pytest.fixture
def open_directory():
    """A directory that other users can look into, as those that pytest makes cannot be."""
    path = pathlib.Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


# ---- run --socket ----


def test_run(server, testmod):
    assert server.run("sh", "-c", "exit 7").returncode == 7
    assert server.run("--call", f"{testmod}:exit_with", 9).returncode == 9
    assert server.run("--call", f"{testmod}:die_by", 11).returncode == -signal.SIGSEGV
    assert server.run("--call", f"{testmod}:cat", stdin=None, input="text").stdout == "text"
    assert server.run("/no/such/program").returncode == 127
    assert server.run("--call", f"{testmod}:nothing").returncode == 125


def test_what_the_caller_has_now(server, testmod, tmp_path):
    assert "A=now" in server.run("--call", f"{testmod}:env", env={"A": "now"}).stdout.splitlines()
    assert server.run("--call", f"{testmod}:where", cwd=tmp_path).stdout.split()[4] == str(tmp_path)


@pytest.mark.parametrize("session", [True, False])
@pytest.mark.parametrize("name", [name for name in FORWARDED.split(",") if name != "TERM"])
def test_signals_are_forwarded(forkserver, serve, session, name):
    server = serve(session=session).wait_until_it_listens()
    process, _ = start_witness(forkserver, FORWARDED, "--socket", server.path)
    process.send_signal(getattr(signal, "SIG" + name))
    assert process.stdout.readline() == f"SIG{name}\n"
    process.terminate()
    assert process.communicate(timeout=LIMIT)[0] == "SIGTERM\n"
    assert process.returncode == 42


def test_stop_and_continue(server):
    process = server.start("sh", "-c", "echo $$; read x; exit 3")
    worker = int(process.stdout.readline())
    process.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(wait_for(process.pid, os.WUNTRACED))
    assert state(worker) == "T"
    process.send_signal(signal.SIGCONT)
    assert eventually(lambda: state(worker) == "S")
    process.communicate("\n", timeout=LIMIT)
    assert process.returncode == 3


def test_sigkill_takes_the_worker_along(server):
    process = server.start("sh", "-c", "echo $$; exec sleep 1000")
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate()
    assert eventually(lambda: state(worker) in (None, "Z"))
    assert eventually(lambda: server.stats()["workers"] == 0)


def test_timeout(server, testmod):
    assert server.run("--timeout", "0.2", "--call", f"{testmod}:hang").returncode == -signal.SIGKILL


def test_server_dies_before_its_worker(server):
    process = server.start("sh", "-c", "echo $$; read x; exit 6")
    worker = int(process.stdout.readline())
    server.process.kill()
    server.process.wait()
    assert state(worker)
    _, errors = process.communicate("\n", timeout=LIMIT)
    # The status if the kernel keeps it for us, else that it was lost; never another one.
    assert process.returncode == 6 or (process.returncode == 125 and "stage status" in errors)
    os.unlink(server.path)


# ---- bad sockets ----


def test_nobody_listens(forkserver, tmp_path):
    stale = tmp_path / "stale"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(stale))
    listener.close()
    plain = tmp_path / "plain"
    plain.touch()
    for path in tmp_path / "none", stale, plain, tmp_path / ("x" * 100) / ("y" * 100):
        for command in ("run", "true"), ("stop",), ("ping",), ("stats",):
            result = call(forkserver, command[0], "--socket", path, *command[1:])
            assert (result.returncode, result.stdout) == (125, "")
            assert str(path)[:60] in result.stderr and "stage" in result.stderr and is_one_line(result.stderr)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_something_else_listens(forkserver, tmp_path, kind):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen(
            [forkserver, "ping", "--socket", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with contextlib.suppress(socket.timeout):
            listener.settimeout(2)
            peer = listener.accept()[0]
            with contextlib.suppress(OSError):
                peer.send(b"garbage")
            output, errors = process.communicate(timeout=LIMIT)
            peer.close()
        output, errors = process.communicate(timeout=LIMIT) if process.returncode is None else (output, errors)
    assert (process.returncode, output) == (125, "")
    assert str(path) in errors and is_one_line(errors)


def test_silent_listener(forkserver, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        result = call(forkserver, "ping", "--socket", path)
    assert result.returncode == 125 and is_one_line(result.stderr)


def test_socket_of_another_user(forkserver, other_user, open_directory, serve):
    open_directory.chmod(0o777)
    path = open_directory / "socket"
    server = serve(path=path, wrap=as_nobody).wait_until_it_listens("--server-uid", NOBODY)
    for command in ("run", "true"), ("stop",), ("ping",), ("stats",):
        result = call(forkserver, command[0], "--socket", path, *command[1:])
        assert (result.returncode, result.stdout) == (125, "")
        assert str(NOBODY) in result.stderr and "stage credentials" in result.stderr
    result = server.run("--server-uid", NOBODY, "id", "-u")
    assert (result.returncode, result.stdout) == (0, f"{NOBODY}\n")


# ---- users that may ----


def test_mode(serve):
    server = serve("--mode", "660").wait_until_it_listens()
    assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o660


def test_default_mode(server):
    assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o600


def test_refused_user(forkserver, other_user, open_directory, serve):
    server = serve("--mode", "666", path=open_directory / "socket").wait_until_it_listens()
    for command in ("run", "true"), ("stop",), ("stats",):
        result = subprocess.run(
            as_nobody(forkserver, command[0], "--socket", server.path, *command[1:]),
            capture_output=True, text=True, timeout=LIMIT,
        )
        assert (result.returncode, result.stdout) == (125, "")
        assert is_one_line(result.stderr) and "stage" in result.stderr
    assert server.run("true").returncode == 0


def test_allowed_user(forkserver, other_user, open_directory, serve):
    path = open_directory / "socket"
    server = serve("--mode", "666", "--allow-uid", NOBODY, "--allow-uid", 12345, path=path).wait_until_it_listens()

    def by_nobody(*args):
        command = as_nobody(forkserver, args[0], "--socket", path, *args[1:])
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)

    result = by_nobody("run", "sh", "-c", "exit 4")
    assert (result.returncode, result.stderr) == (4, "")
    assert by_nobody("stop").returncode == 125  # only its own uid and root may
    assert server.process.poll() is None


def test_socket_that_the_mode_closes(forkserver, other_user, open_directory, serve):
    server = serve("--allow-uid", NOBODY, path=open_directory / "socket").wait_until_it_listens()
    result = subprocess.run(
        as_nobody(forkserver, "ping", "--socket", server.path), capture_output=True, text=True, timeout=LIMIT
    )
    assert result.returncode == 125 and "Permission denied" in result.stderr


# ---- serving ----


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--socket"],
        ["--socket", "/x", "operand"],
        ["--socket", "/x", "--no-such-option"],
    ],
)
@pytest.mark.parametrize("command", ["serve", "stop", "ping", "stats"])
def test_misuse(forkserver, command, args):
    result = call(forkserver, command, *args)
    assert (result.returncode, result.stdout) == (125, "")
    assert is_one_line(result.stderr) and f"try 'forkserver {command} --help'" in result.stderr


@pytest.mark.parametrize(
    "option, values",
    [
        ("--mode", ["", "0", "8", "1000", "rw", "-1"]),
        ("--allow-uid", ["", "no user", "-1", "4294967295", "99999999999999999999"]),
        ("--standbys", ["", "0", "65", "x"]),
        ("--preload-timeout", ["", "0", "x", "-1", "99999999"]),
    ],
)
def test_bad_values(forkserver, tmp_path, option, values):
    for value in values:
        result = call(forkserver, "serve", "--socket", tmp_path / "socket", option, value)
        assert result.returncode == 125 and option in result.stderr + option and is_one_line(result.stderr)


def test_path_too_long(forkserver, tmp_path):
    path = str(tmp_path / "s").ljust(108, "x")
    result = call(forkserver, "serve", "--socket", path)
    assert result.returncode == 125
    assert "too long" in result.stderr.lower() or "107" in result.stderr
    assert is_one_line(result.stderr)


def test_stale_socket_is_replaced(serve, tmp_path):
    path = tmp_path / "socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.close()
    assert serve(path=path).wait_until_it_listens().run("true").returncode == 0


def test_busy_path(forkserver, server):
    result = call(forkserver, "serve", "--socket", server.path)
    assert result.returncode == 125 and server.path in result.stderr
    assert server.run("true").returncode == 0


def test_path_of_a_file(forkserver, tmp_path):
    path = tmp_path / "file"
    path.write_text("text")
    result = call(forkserver, "serve", "--socket", path)
    assert result.returncode == 125 and str(path) in result.stderr
    assert path.read_text() == "text"


def test_path_in_no_directory(forkserver, tmp_path):
    result = call(forkserver, "serve", "--socket", tmp_path / "none" / "socket")
    assert result.returncode == 125 and "No such file" in result.stderr


def test_bad_preload(serve):
    server = serve("--preload", "/no/such/module.so").wait_until_it_listens()
    for _ in range(3):
        result = server.run("true")
        assert result.returncode == 125
        assert "/no/such/module.so" in result.stderr and "stage preload" in result.stderr
    assert "/no/such/module.so" in server.read_log()


def test_standbys(serve):
    server = serve("--standbys", "3").wait_until_it_listens()
    assert eventually(lambda: server.stats()["standbys"] == 3)


# ---- the end ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain(server, number):
    process = server.start("sh", "-c", "echo $$; read x; exit 8")
    process.stdout.readline()
    server.process.send_signal(number)
    assert eventually(lambda: server.run("true").returncode == 125)
    assert server.process.poll() is None
    process.communicate("\n", timeout=LIMIT)
    assert process.returncode == 8
    assert server.process.wait(LIMIT) == 0
    assert not os.path.exists(server.path)


def test_second_sigterm_kills(server, testmod):
    process = server.start("sh", "-c", "trap '' TERM; echo $$; read x")
    process.stdout.readline()
    server.process.terminate()
    time.sleep(0.3)
    assert server.process.poll() is None
    server.process.terminate()
    assert server.process.wait(LIMIT) == 0
    process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGKILL
    assert not os.path.exists(server.path)


@pytest.mark.skipif("sud" in MISSING, reason="a process that is forked twice hangs between the two forks then")
def test_each_further_sigterm_kills(serve, module, testmod, tmp_path, monkeypatch):
    """Also what has come since the second one: here a standby that the zygote owed, and whose fork handler hangs."""
    fifo = tmp_path / "fifo"
    monkeypatch.setenv("HELD_FORK", str(fifo))
    preload = "--preload", module("held_fork"), "--preload", testmod, "--preload-timeout", "600"
    server = serve(*preload, "--standbys", "1").wait_until_it_listens()
    zygote = eventually(lambda: (s := server.stats())["standbys"] == 1 and s["zygote_pid"])
    os.kill(zygote, signal.SIGSTOP)
    process = server.start("--call", f"{testmod}:hang")
    assert eventually(lambda: server.stats()["workers"] == 1)
    os.mkfifo(fifo)
    server.terminate()
    assert eventually(lambda: not os.path.exists(server.path))
    server.terminate()
    process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGKILL
    os.kill(zygote, signal.SIGCONT)
    with fifo.open("wb"):  # a standby waits there
        assert server.process.poll() is None
        assert eventually(lambda: server.terminate() or server.process.poll() is not None)
    assert server.process.returncode == 0


def test_idle_server_ends_at_once(server):
    server.process.terminate()
    assert server.process.wait(LIMIT) == 0
    assert not os.path.exists(server.path)


def test_stop(forkserver, server):
    process = server.start("sh", "-c", "echo $$; read x; exit 8")
    process.stdout.readline()
    result = call(forkserver, "stop", "--socket", server.path, "--timeout", "0.3")
    assert result.returncode == 125 and is_one_line(result.stderr)
    assert server.process.poll() is None
    process.communicate("\n", timeout=LIMIT)
    assert process.returncode == 8
    assert server.process.wait(LIMIT) == 0


def test_stop_waits(forkserver, server):
    process = server.start("sh", "-c", "echo $$; sleep 0.5; exit 8")
    process.stdout.readline()
    result = call(forkserver, "stop", "--socket", server.path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not os.path.exists(server.path)
    assert server.process.wait(LIMIT) == 0
    process.communicate(timeout=LIMIT)
    assert process.returncode == 8


def test_stop_json(forkserver, server):
    result = call(forkserver, "stop", "--json", "--socket", server.path)
    assert json.loads(result.stdout) == {"stopped": True}


# ---- questions ----


def test_ping(forkserver, server):
    result = call(forkserver, "ping", "--socket", server.path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"pid {server.process.pid}, up ") and is_one_line(result.stdout)
    answer = json.loads(call(forkserver, "ping", "--socket", server.path, "--json").stdout)
    assert answer["server_pid"] == server.process.pid and answer["uptime_ms"] >= 0


def test_ping_waits_for_a_server_that_comes(forkserver, tmp_path, module):
    path = tmp_path / "socket"
    result = call(forkserver, "ping", "--socket", str(path), "--wait", "0.1")
    assert result.returncode == 125 and "No such file or directory" in result.stderr
    ping = subprocess.Popen([forkserver, "ping", "--socket", str(path), "--wait", "60"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    server = subprocess.Popen([forkserver, "serve", "--socket", str(path)], stderr=subprocess.DEVNULL)
    try:
        assert ping.communicate(timeout=LIMIT)[0].startswith(f"pid {server.pid}, up ")
        assert ping.returncode == 0
    finally:
        server.terminate()
        server.wait(LIMIT)


def test_ping_that_waits_tells_what_cannot_be_loaded(forkserver, tmp_path, module):
    path = tmp_path / "socket"
    server = subprocess.Popen([forkserver, "serve", "--socket", str(path), "--preload", module("preload_fails")],
                              stderr=subprocess.DEVNULL)
    try:
        result = call(forkserver, "ping", "--socket", str(path), "--wait", "60")
        assert result.returncode == 125 and "preload_fails" in result.stderr and is_one_line(result.stderr)
    finally:
        server.terminate()
        server.wait(LIMIT)


def test_stats(forkserver, server, testmod):
    worker = server.start("sh", "-c", "echo $$; read x")
    worker.stdout.readline()
    for _ in range(5):
        assert server.run("--call", f"{testmod}:exit_with", 1).returncode == 1
    assert server.run("/no/such/program").returncode == 127
    assert server.run("--call", f"{testmod}:nothing").returncode == 125
    assert eventually(lambda: server.stats()["exits"] == 7)
    assert eventually(lambda: server.stats()["failures"] == {"exec": 1, "entry": 1})
    stats = server.stats()
    assert stats["server_pid"] == server.process.pid
    assert stats["zygote_pid"] > 0
    assert stats["spawns"] == stats["claims"] == 8
    assert stats["workers"] == 1
    assert stats["zygote_starts"] == 1 and stats["zygote_restarts"] == 0
    os.kill(stats["zygote_pid"], signal.SIGKILL)
    assert server.run("true").returncode == 0
    assert eventually(lambda: server.stats()["zygote_restarts"] == 1)
    worker.communicate("\n", timeout=LIMIT)

    lines = call(forkserver, "stats", "--socket", server.path).stdout.splitlines()
    values = dict(line.split(" ", 1) for line in lines)
    assert values["failures.exec"] == "1" and "failures.open" not in values
    lists = {"failures", "signals", "memory_why", "failure", "replaced"}
    assert {name for name in values if "." not in name} - lists == set(stats) - lists


def test_malformed_messages_are_counted(server, layout):
    """An unknown type, a wrong size, and another version than the server's."""
    version = layout["version"]
    before = server.stats()["malformed"]
    for message in struct.pack("=II", version, 99), struct.pack("=I", version), struct.pack("=II", version + 1, 3):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(LIMIT)
            connection.connect(server.path)
            connection.send(message)
            assert connection.recv(4096)
    assert server.stats()["malformed"] == before + 3


def test_output_that_cannot_be_written(forkserver, server):
    for command in ("stats",), ("stats", "--json"), ("ping",):
        with open("/dev/full", "w") as full:
            result = subprocess.run(
                [forkserver, *command, "--socket", server.path], stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert result.returncode == 125 and "No space left" in result.stderr


def test_the_socket_of_a_successor_is_left_alone(serve, testmod):
    """Somebody removed the path and started another server there: the first one's end is not the second one's."""
    first = serve("--preload", testmod).wait_until_it_listens()
    os.unlink(first.path)
    second = serve("--preload", testmod).wait_until_it_listens()
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(LIMIT) == 0
    assert second.stats()["server_pid"] == second.process.pid


def test_log_without_control_characters(forkserver, open_directory):
    path = f"{open_directory}/a\x1b[31m\u009b31m€"
    process = subprocess.Popen([forkserver, "serve", "--socket", path], stderr=subprocess.PIPE)
    line = process.stderr.readline()
    process.terminate()
    process.communicate(timeout=LIMIT)
    assert line.decode().startswith(f"forkserver: listening on {open_directory}/a?[31m??31m€, pid ")
