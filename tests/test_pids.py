# SPDX-License-Identifier: MIT
"""Pids that are used again, in namespaces of few of them: nobody is taken for another process, nor killed in its
place."""

import os
import signal
import subprocess

import pytest

from conftest import MISSING
from leftovers import descendants
from spawner import KILL_ON_CLOSE, Failure, children, eventually, state
from test_starve import namespace
from test_spawn import refused

FIRST, LAST = 300, 340  # those below 300 are not used again


@pytest.fixture
def small(start, program):
    """Starts spawners in namespaces of their own, where there are forty pids."""
    script = f"echo {LAST} >/proc/sys/kernel/pid_max && echo {FIRST} >/proc/sys/kernel/ns_last_pid"
    command = namespace("--pid", "--fork", "--kill-child", "--mount-proc", script)
    return lambda **options: start(before=[*command, program("init")], **options)


def number(pid):
    """Of a process, in its own namespace; None when it has gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next(int(line.split()[-1]) for line in file if line.startswith("NSpid:"))
    except OSError:
        return None


def inside(spawner, pid):
    """Where a process of the namespace is, seen from here."""
    return next((one for one in descendants(spawner.process.pid) if number(one) == pid), None)


def next_pid(spawner, pid):
    fd = spawner("open", "/proc/sys/kernel/ns_last_pid", os.O_WRONLY)["result"]
    spawner("write", fd, str(pid - 1))
    spawner("close", fd)


def stranger(spawner, pid):
    """A process of the namespace with this pid."""
    (init,) = children(spawner.process.pid)
    next_pid(spawner, pid)
    process = subprocess.Popen(["nsenter", "--target", str(init), "--pid", "sleep", "1000"])
    (found,) = eventually(lambda: children(process.pid))
    assert number(found) == pid
    return found, process


def end(found, process):
    assert state(found) != "gone", "somebody has killed it"
    os.kill(found, signal.SIGKILL)
    process.wait()


def test_many_times_round(small, testmod):
    """Each pid more than ten times; every status is that of its process."""
    spawner, seen = small(), []
    spawner.new(preload=[testmod])
    held = spawner.call(f"{testmod}:hang")
    for i in range(20):
        processes = [spawner.call(f"{testmod}:exit_with", (i + k) % 200) for k in range(25)]
        seen += [process.pid for process in processes]
        assert [process.code() for process in processes] == [(i + k) % 200 for k in range(25)]
        for process in processes:
            assert refused(process.kill).errno == "ESRCH"
            process.unref()
    assert len(seen) > 10 * len(set(seen)) and held.pid not in seen
    assert refused(held.wait, 0).errno == "ETIMEDOUT"
    held.kill(signal.SIGTERM)
    assert held.code() == -signal.SIGTERM


def test_used_again_while_its_handle_is_held(small, testmod):
    """Kill, wait and close after the end are about the one that ended, also when its fork server has died."""
    spawner = small()
    spawner.new(preload=[testmod])
    ended, lost = (spawner.call(f"{testmod}:hang", flags=KILL_ON_CLOSE) for _ in range(2))
    ended.kill(signal.SIGTERM)
    assert ended.code() == -signal.SIGTERM
    os.kill(inside(spawner, spawner.server()), signal.SIGKILL)
    os.kill(inside(spawner, lost.pid), signal.SIGUSR1)
    strangers = []
    for process in ended, lost:
        assert eventually(lambda: inside(spawner, process.pid) is None)
        strangers.append(stranger(spawner, process.pid))
    assert refused(ended.kill).errno == "ESRCH"
    assert refused(lost.kill).errno == "ESRCH"
    try:
        assert lost.code() == -signal.SIGUSR1
    except Failure as failure:
        assert failure.errno == "EOWNERDEAD"
    assert ended.code() == -signal.SIGTERM
    for process in ended, lost:
        process.unref()
    for one in strangers:
        end(*one)


@pytest.mark.skipif("sud" in MISSING, reason="a process that is forked twice begins after the server was told of it")
def test_late_forked_of_an_ended_child(small, module, testmod, tmp_path):
    """The zygote says which pid it forked when that process has taken a request, ended, and been followed by a
    stranger."""
    fifo = tmp_path / "fifo"
    spawner = small(env={**os.environ, "HELD_PARENT": str(fifo)})
    spawner.new(preload=[module("held_fork"), testmod], standbys=1)
    spawner("ensure")
    spawner.zygote()
    os.mkfifo(fifo)
    assert spawner.call(f"{testmod}:exit_with", 1).code() == 1

    def open_gate():
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # ENXIO: the zygote isn't there yet
            return None

    gate = eventually(open_gate)
    early = spawner.call(f"{testmod}:exit_with", 2)
    assert early.code() == 2 and eventually(lambda: inside(spawner, early.pid) is None)
    one = stranger(spawner, early.pid)
    fifo.unlink()
    os.write(gate, b"x")
    os.close(gate)
    for i in range(5):
        assert spawner.call(f"{testmod}:exit_with", i, spawn_timeout=20000).code() == i
    assert spawner.stats()["workers"] == 0
    end(*one)
