# SPDX-License-Identifier: MIT
"""fsrv_run(): creates a process and waits for its end, in one call."""

import os
import signal

from leftovers import descendants
from spawner import NO_RUSAGE, STANDBYS, TIMED_OUT, Failure, Status, eventually, state, title
from test_death import KERNEL_KEEPS_STATUS, reaped  # noqa: F401 (a fixture)
from test_spawn import refused


def entry(name, *args):
    return {"entry": name, "argv": [name, *args]}


def worker():
    """The one that runs, once it does."""
    return eventually(lambda: [pid for pid in descendants(os.getpid())
                               if title(pid).startswith("forkserver: worker")])[0]


def sleeps(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary"))


def test_statuses(spawner, testmod):
    pids = set()
    for i in range(50):
        status = spawner.run(**entry(f"{testmod}:exit_with", i))
        assert (status.exit_code, status.signal, status.flags) == (i, 0, 0) and status.maxrss > 0
        pids.add(status.pid)
    assert len(pids) == 50
    status = spawner.run(**entry(f"{testmod}:die_by", signal.SIGTERM))
    assert (status.exit_code, status.signal) == (-1, signal.SIGTERM)
    assert spawner.run(program="sh", argv=["sh", "-c", "exit 3"]).exit_code == 3
    assert spawner("run_null")["result"] == 0
    assert spawner.stats()["spawns"] == 53


def test_failures_are_those_of_spawning(spawner, testmod, tmp_path):
    for request, err, stage in [
        ({"program": "/no/such/program"}, "ENOENT", "exec"),
        (entry(f"{testmod}:no_such_function"), "ENOENT", "entry"),
        ({**entry(f"{testmod}:exit_with", 0), "directory": tmp_path / "none"}, "ENOENT", "directory"),
        ({**entry(f"{testmod}:exit_with", 0), "actions": [("dup2", 987, 3)]}, "EBADF", "fds"),
        ({}, "EINVAL", "argument"),
    ]:
        spawner.request(**request)
        failure = refused(spawner, "run")
        assert (failure.errno, failure.stage) == (err, stage)


def test_another_size_of_the_status(spawner, testmod, tmp_path):
    spawner.request(**entry(f"{testmod}:append", tmp_path / "log", "ran"))
    failure = refused(spawner, "run", 8)
    assert (failure.errno, failure.stage) == ("EINVAL", "argument")
    assert not (tmp_path / "log").exists()


def test_time_limit(spawner, testmod):
    status = spawner.run(entry=f"{testmod}:hang", time_limit=50)
    assert (status.signal, status.flags) == (signal.SIGKILL, TIMED_OUT)


def test_longer_than_the_spawn_timeout(spawner, testmod):
    """That one is for the start alone."""
    spawner("ensure")
    spawner.zygote()
    spawner.request(**entry(f"{testmod}:hang"), spawn_timeout=1000)
    spawner.ask("run")
    pid = worker()
    signal.sigtimedwait([], 1.2)  # beyond the time-out: nothing is to happen
    assert state(pid) != "gone"
    os.kill(pid, signal.SIGTERM)
    assert Status(spawner.answer("run")).signal == signal.SIGTERM


def test_no_standby_takes_the_request(spawner, testmod, tmp_path):
    zygote = (spawner("ensure"), spawner.zygote())[1]
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
    pids = [zygote, *spawner.standbys()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: all(state(pid) == "T" for pid in pids))
    spawner.request(**entry(f"{testmod}:append", tmp_path / "log", "ran"), spawn_timeout=50)
    failure = refused(spawner, "run")
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "queue")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert spawner.run(**entry(f"{testmod}:exit_with", 5)).exit_code == 5
    assert not (tmp_path / "log").exists()


def test_worker_dies_during_set_up(spawner, testmod, tmp_path):
    """Nothing of it has run, so another is made."""
    os.mkfifo(tmp_path / "fifo")
    spawner.request(**entry(f"{testmod}:exit_with", 5), actions=[("open", 9, tmp_path / "fifo", os.O_RDONLY, 0)])
    spawner.ask("run")
    first = worker()
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: state(first) == "gone" and worker() != first)
    with open(tmp_path / "fifo", "w"):
        status = Status(spawner.answer("run"))
    assert status.exit_code == 5 and status.pid != first


def test_server_dies(reaped, testmod):  # noqa: F811
    """It runs on, and its status is read by its pidfd, or said to be lost."""
    reaped.run(**entry(f"{testmod}:exit_with", 0))
    server = reaped.server()
    reaped.request(**entry(f"{testmod}:hang"))
    reaped.ask("run")
    pid = worker()
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: state(server) == "gone") and state(pid) != "gone"
    os.kill(pid, signal.SIGTERM)
    try:
        status = Status(reaped.answer("run"))
        assert (status.signal, status.flags) == (signal.SIGTERM, NO_RUSAGE)
    except Failure as failure:
        assert not KERNEL_KEEPS_STATUS and (failure.errno, failure.stage) == ("EOWNERDEAD", "status")


def test_is_not_woken_for_the_start(spawner, testmod):
    """It sleeps once, from the request to the end."""
    spawner("ensure")
    spawner.zygote()
    spawner.request(**entry(f"{testmod}:hang"))
    client = spawner.process.pid
    assert eventually(lambda: state(client) == "S")
    before = sleeps(client)
    spawner.ask("run")
    pid = worker()
    assert eventually(lambda: state(pid) == "S" == state(client)) and sleeps(client) == before + 1
    os.kill(pid, signal.SIGTERM)
    assert Status(spawner.answer("run")).signal == signal.SIGTERM
