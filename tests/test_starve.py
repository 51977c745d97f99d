# SPDX-License-Identifier: MIT
"""What there is too little of: the caller gets errno and stage in bounded time, everybody else goes on, and all is well
again when the shortage ends. (Fd tables: test_fds.py; forks below RLIMIT_NPROC: test_badinput.py; a full disk under an
output: test_map.py, test_run.py.)"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import KERNEL, as_user
from spawner import LIMIT, STANDBYS, Failure, children, eventually, state
from test_badinput import serves, serves_and_forgets, serves_or_cannot_fork
from test_serve import call, open_directory, serve  # noqa: F401 (fixtures)
from test_spawn import refused

MIB = 1 << 20
PRELOAD_OUTPUT = 2  # FSRV_SERVER_PRELOAD_OUTPUT


@contextlib.contextmanager
def stopped(pids):
    """All of them sleep, until the end of the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: all(state(pid) == "T" for pid in pids))
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def parts(server):
    """The server, its zygote, its standbys; no worker."""
    assert eventually(lambda: (stats := server.stats())["standbys"] == STANDBYS and stats["workers"] == 0)
    pid = server.stats()["server_pid"]
    return [pid, *children(pid)]


def namespace(*words):
    """The beginning of a command line in namespaces of its own, where a shell first does what the last word says."""
    *options, script = words
    command = ["unshare", *options, "sh", "-c", f'{script} && exec "$@"', "sh"]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare(1)")
    if "pid_max" in script and KERNEL < (6, 14):
        pytest.skip("pid_max is the whole machine's before Linux 6.14")
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"cannot be had here: unshare {' '.join(words)}")
    return command


# ---- processes ----


def test_no_process_for_the_server(start, testmod, new_uid):
    spawner = start()
    spawner("setuid", new_uid())
    spawner("limit", "nproc", 1)
    spawner.new(preload=[testmod])
    for _ in range(2):
        failure = refused(spawner.spawn, program="true")
        assert (failure.errno, failure.stage) == ("EAGAIN", "start")
    spawner("limit", "nproc", 100)
    assert serves(spawner, testmod)


def test_no_pid_left(start, program, testmod):
    """In a namespace of some twenty pids: those below 300 are used once."""
    script = "echo 320 >/proc/sys/kernel/pid_max && echo 301 >/proc/sys/kernel/ns_last_pid"
    command = namespace("--pid", "--fork", "--kill-child", "--mount-proc", script)
    spawner = start(before=[*command, program("init")])
    spawner.new(preload=[testmod])
    processes, failure = [], None
    while not failure and len(processes) < 20:
        try:
            processes.append(spawner.call(f"{testmod}:hang"))
        except Failure as error:
            failure = error
    assert failure and (failure.errno, failure.stage) == ("EAGAIN", "fork"), failure
    assert len(processes) > 5
    again = refused(spawner.call, f"{testmod}:hang")
    assert (again.errno, again.stage) == ("EAGAIN", "fork")
    assert refused(processes[0].wait, 0).errno == "ETIMEDOUT"  # the others go on
    for process in processes[:4]:
        process.kill()
        assert process.code() == -signal.SIGKILL

    assert eventually(lambda: serves_or_cannot_fork(spawner, testmod))
    for process in processes[4:]:
        process.kill()
        assert process.code() == -signal.SIGKILL


# ---- queues ----


def test_full_doorbell(start, serve, testmod):
    """One client fills it and reads nothing; the other's time-out holds, and afterwards it is served."""
    server = serve("--preload", testmod).wait_until_it_listens()
    bad, good = start(), start()
    for spawner in bad, good:
        spawner("connect", server.path)
        assert serves_and_forgets(spawner, testmod)
    with stopped(parts(server)):
        assert bad("fill")["result"] == 1
        for spawner in good, bad:
            failure = refused(spawner.call, f"{testmod}:exit_with", 1, spawn_timeout=50)
            assert (failure.errno, failure.stage) == ("ETIMEDOUT", "queue") and "full" in failure.text
        entry = f"{testmod}:exit_with"
        good.request(entry=entry, argv=[entry, "5"], spawn_timeout=60000)
        good.ask("spawn")
    assert good("wait", good.answer("spawn")["process"], 60000)["exit_code"] == 5
    assert serves(bad, testmod)


def test_full_backlog(forkserver, start, serve, testmod):
    """The backlog of a server that is stopped, in a namespace where it is short. A client that has the doorbell needs
    none."""
    command = namespace("--net", "echo 4 >/proc/sys/net/core/somaxconn")
    server = serve("--preload", testmod, wrap=lambda *words: [*command, *map(str, words)]).wait_until_it_listens()
    client = start()
    client("connect", server.path)
    assert serves(client, testmod)
    sockets, pid = [], server.stats()["server_pid"]
    try:
        with stopped([pid]):
            with pytest.raises(BlockingIOError):
                while len(sockets) < 20:
                    sockets.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
                    sockets[-1].connect(server.path)
            assert 4 <= len(sockets) < 20
            patient = subprocess.Popen([forkserver, "ping", "--socket", server.path], stderr=subprocess.DEVNULL)
            process = client.call(f"{testmod}:exit_with", 6)
            late = call(forkserver, "ping", "--socket", server.path)  # its 10 s begin last
            assert late.returncode == 125 and "stage connect" in late.stderr and "timed out" in late.stderr, late.stderr
            assert patient.wait(LIMIT) == 125
            waiting = subprocess.Popen([forkserver, "ping", "--socket", server.path], stdout=subprocess.DEVNULL)
        assert waiting.wait(LIMIT) == 0
    finally:
        for sock in sockets:
            sock.close()
    assert process.code() == 6


def pauses(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


def fill_flight(hog, victim):
    for spawner in hog, victim:
        spawner("limit", "nofile", 64)
    flight = hog("in_flight")
    if flight["refused"] != "ETOOMANYREFS":
        pytest.skip(f"the kernel does not count fds in flight: {flight['refused']} after {flight['sent']}")
    return flight


def test_too_many_fds_in_flight(start, testmod, new_uid):
    """They count for a uid, over all its processes; root is exempt."""
    hog, victim, other = start(), start(), start()
    crowded, free = new_uid(), new_uid()
    for spawner, uid in (hog, crowded), (victim, crowded), (other, free):
        spawner("setuid", uid)
        spawner.new(preload=[testmod])
        assert serves(spawner, testmod)
    flight = fill_flight(hog, victim)
    failure = refused(victim.call, f"{testmod}:exit_with", 1, spawn_timeout=50)
    assert (failure.errno, failure.stage) == ("ETOOMANYREFS", "queue") and "full" in failure.text
    assert serves(other, testmod)
    entry = f"{testmod}:exit_with"
    victim.request(entry=entry, argv=[entry, "7"], spawn_timeout=60000)
    before = pauses(victim.process.pid)
    victim.ask("spawn")
    assert eventually(lambda: pauses(victim.process.pid) > before + 5)  # it tries, again and again
    hog("close", *flight["fds"])
    assert victim("wait", victim.answer("spawn")["process"], 60000)["exit_code"] == 7


@pytest.mark.parametrize("command", ["stats", "ensure"])
def test_questions_and_starts_with_too_many_fds_in_flight(start, testmod, new_uid, command):
    """A question brings a socket to the server, and a start the client's output: both wait until that can be sent."""
    hog, victim, uid = start(), start(), new_uid()
    for spawner in hog, victim:
        spawner("setuid", uid)
        spawner.new(preload=[testmod])
        assert serves(spawner, testmod)
    if command == "ensure":
        victim.new(preload=[testmod], flags=PRELOAD_OUTPUT)
    flight = fill_flight(hog, victim)
    before = pauses(victim.process.pid)
    victim.ask(command)
    assert eventually(lambda: pauses(victim.process.pid) > before + 5)
    hog("close", *flight["fds"])
    victim.answer(command)
    assert serves(victim, testmod)


# ---- memory ----


def test_address_space_of_the_client(spawner, testmod, sanitized):
    if sanitized:
        pytest.skip("a sanitizer reserves more than any limit")
    assert serves(spawner, testmod)
    payload = ["A=" + "x" * 100000] * 300
    spawner.request(entry=f"{testmod}:exit_with", environment=payload)
    with open(f"/proc/{spawner.process.pid}/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    spawner("limit", "as", used + MIB)
    failure = refused(spawner.spawn)
    assert failure.errno == "ENOMEM" and failure.stage
    spawner("limit", "as", -1)
    assert spawner.spawn().code() == 0


@pytest.fixture
def helpers(build, tmp_path, sanitized):
    """A directory of helper programs where the server starts with a limit of its address space, in KiB."""
    if sanitized:
        pytest.skip("a sanitizer reserves more than any limit")

    def with_limit(kib):
        path = tmp_path / "forkserver-server"
        path.write_text(f'#!/bin/sh\nulimit -v {kib}\nexec "{build}/src/forkserver-server" "$@"\n')
        path.chmod(0o755)
        return tmp_path

    return with_limit


def test_address_space_of_the_workers(start, helpers, testmod):
    """As the server's start found it; a request that does not fit says so, a smaller one runs."""
    spawner = start()
    spawner.new(preload=[testmod], helpers=helpers(16 << 10))
    payload = ["A=" + "x" * 100000] * 160
    for _ in range(2):
        failure = refused(spawner.call, f"{testmod}:exit_with", 0, environment=payload)
        assert (failure.errno, failure.stage) == ("ENOMEM", "request")
        assert serves(spawner, testmod)
    helpers("unlimited")
    spawner("set_preload", 1, testmod)  # a new server
    assert spawner.call(f"{testmod}:exit_with", 3, environment=payload).code() == 3


def test_address_space_of_server_and_zygote(start, helpers, testmod):
    """Too little for the one or the other to start or to load in, up to enough."""
    spawner, stages = start(stderr=subprocess.DEVNULL), []
    spawner.new(preload=[testmod], helpers=helpers(512))
    for kib in range(512, 8192, 128):
        helpers(kib)
        spawner("set_preload", 1, testmod)
        try:
            assert serves(spawner, testmod)
        except Failure as failure:
            assert failure.stage in ("start", "preload", "fork", "setup", "entry"), failure
            stages.append(failure.stage)
        else:
            stages.append("none")
    enough = stages.index("none")
    assert "start" in stages[:enough] and set(stages[enough:]) == {"none"}, stages


# ---- a full disk ----


def test_no_inode_for_the_socket(forkserver, testmod, tmp_path):
    directory = tmp_path / "small"
    directory.mkdir()
    command = namespace("--mount", f"mount -t tmpfs -o nr_inodes=2 none {directory}")
    script = f"""
        path={directory}/socket
        touch {directory}/filler
        "$1" serve --socket $path --preload {testmod} && exit 1
        rm {directory}/filler
        "$1" serve --socket $path --preload {testmod} &
        until "$1" ping --socket $path 2>&-; do :; done
        "$1" run --socket $path --call {testmod}:exit_with 7
        [ $? = 7 ] || exit 2
        "$1" stop --socket $path && wait && [ ! -e $path ]
    """
    result = subprocess.run([*command, "sh", "-c", script, "sh", forkserver], capture_output=True, text=True,
                            timeout=LIMIT)
    assert result.returncode == 0, result.stderr
    complaint = result.stderr.splitlines()[0]
    assert "No space left on device" in complaint and str(directory) in complaint


def test_few_processes_for_map(forkserver, new_uid):
    """Fewer at a time, which is said once; all have their turn."""
    command = as_user(new_uid(), "prlimit", "--nproc=12", forkserver, "map", "-j60", "sleep", "0.0{}")
    result = subprocess.run(command, input="".join(f"{i}\n" for i in range(40)), capture_output=True, text=True,
                            timeout=LIMIT, cwd="/")
    assert result.returncode == 0, result.stderr
    assert "processes at a time, not 60" in result.stderr and result.stderr.count("\n") == 1
