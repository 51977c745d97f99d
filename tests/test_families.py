# SPDX-License-Identifier: MIT
"""A worker that leads a process group: what ends it ends the group; what it leaves behind by itself is left alone."""
import os
import signal
import sys

import pytest
from spawner import KILL_ON_CLOSE, LIMIT, QUICK_EXIT, TELL_STOPS, TIMED_OUT, Failure, eventually, state

CONTINUED, STOPPED = 16, 8


def family(spawner, script, **request):
    """A shell that leads a group, and the pids that it prints, one a line, when they are ready."""
    reader, writer = os.pipe()
    spawner.request(program="/bin/sh", argv=["sh", "-c", script], group=0, actions=[("open", 1,
                    f"/proc/{os.getpid()}/fd/{writer}", os.O_WRONLY, 0)], **request)
    process = spawner.spawn()
    os.close(writer)
    lines = os.fdopen(reader)
    return process, lines, int(lines.readline())


CHILD = "sleep 1000 >/dev/null & echo $!; wait"


def test_time_limit(spawner):
    process, lines, child = family(spawner, CHILD, time_limit=700)
    assert process.wait().flags & TIMED_OUT
    assert lines.read() == ""
    assert eventually(lambda: state(child) == "gone")


# A child, and a grandchild below a thread's child.
TREE = """
import subprocess, sys, threading
code = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid, flush=True); input()"
options = {"stdin": subprocess.PIPE}
thread = threading.Thread(target=lambda: subprocess.Popen([sys.executable, "-c", code], **options).wait())
thread.start()
print(subprocess.Popen(["sleep", "1000"]).pid, flush=True)
thread.join()
"""


@pytest.mark.parametrize("how", ["limit", "unref", "death"])
def test_process_in_the_callers_group(spawner, how):
    """It ends with its descendants; the caller's other processes are strangers."""
    stranger = spawner.spawn(program="sleep", argv=["sleep", "1000"])
    reader, writer = os.pipe()
    process = spawner.spawn(program=sys.executable, argv=["python", "-c", TREE],
                            actions=[("open", 1, f"/proc/{os.getpid()}/fd/{writer}", os.O_WRONLY, 0)],
                            **({"time_limit": 5000} if how == "limit" else {"flags": KILL_ON_CLOSE}))
    os.close(writer)
    with os.fdopen(reader) as lines:
        pids = [int(lines.readline()), int(lines.readline())]
        assert os.getpgid(pids[1]) == os.getpgid(stranger.pid) != pids[1]
        if how == "limit":
            assert process.wait().flags & TIMED_OUT
        elif how == "unref":
            process.unref()
        else:
            spawner.die()
        assert lines.read() == ""
    assert eventually(lambda: all(state(pid) == "gone" for pid in [process.pid, *pids]))
    assert state(stranger.pid) != "gone"
    os.kill(stranger.pid, signal.SIGKILL)


def test_unref_of_an_ended_process(spawner):
    """Nobody has waited for it; what it left behind is left alone."""
    process, _, child = family(spawner, "sleep 1000 >/dev/null & echo $!", flags=KILL_ON_CLOSE)
    assert eventually(lambda: state(process.pid) == "gone")
    assert spawner.spawn(program="true").code() == 0  # and its end has been told
    process.unref()
    assert spawner.spawn(program="true").code() == 0
    assert state(child) != "gone"
    os.kill(child, signal.SIGKILL)


def test_grace(spawner):
    process, lines, _ = family(spawner, "trap 'echo polite; exit 3' TERM; echo $$; while :; do sleep 0.01; done",
                               time_limit=700, grace=60000)
    status = process.wait()
    assert lines.read() == "polite\n"
    assert (status.exit_code, status.flags & TIMED_OUT) == (3, TIMED_OUT)


def test_grace_that_is_not_used(spawner):
    process, _, _ = family(spawner, "trap '' TERM; echo $$; while :; do sleep 0.01; done", time_limit=700, grace=50)
    status = process.wait()
    assert (status.signal, status.flags & TIMED_OUT) == (signal.SIGKILL, TIMED_OUT)


def test_grace_of_a_stopped_process(spawner):
    process, _, _ = family(spawner, "echo $$; kill -STOP $$", time_limit=700, grace=60000)
    assert process.wait().signal == signal.SIGTERM


@pytest.mark.parametrize("grace, survives", ((60000, True), (100, False)))
def test_the_leaders_end_is_not_the_end_of_the_grace(spawner, grace, survives):
    """Its status is told at once; its group has the rest of the grace."""
    script = "sh -c \"trap 'echo polite' TERM; echo \\$\\$; while :; do sleep 0.01; done\" & wait"
    process, lines, child = family(spawner, script, time_limit=700, grace=grace)
    assert process.wait().signal == signal.SIGTERM
    if survives and has_group_signals():
        assert lines.readline() == "polite\n"
        assert state(child) != "gone"
        os.killpg(process.pid, signal.SIGKILL)
    assert eventually(lambda: state(child) == "gone")


def has_group_signals():
    """Linux 6.9, PIDFD_SIGNAL_PROCESS_GROUP; the mode "oldest" of modes.py hides it."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(os.getpid())
    try:
        return libc.syscall(424, pidfd, 0, None, 4) == 0 or ctypes.get_errno() != 22
    finally:
        os.close(pidfd)


def test_a_private_server_stays_for_its_limits(spawner):
    process, _, child = family(spawner, CHILD, time_limit=700)
    spawner.die()
    assert state(process.pid) != "gone"
    assert eventually(lambda: state(process.pid) == "gone" and state(child) == "gone")


def test_kill_on_close(spawner):
    process, _, child = family(spawner, CHILD, flags=KILL_ON_CLOSE)
    other, _, others_child = family(spawner, CHILD, flags=KILL_ON_CLOSE)
    process.unref()
    assert eventually(lambda: state(child) == "gone")
    assert state(others_child) != "gone"
    spawner.die()
    assert eventually(lambda: state(others_child) == "gone" and state(other.pid) == "gone")


def test_leftovers_of_an_ended_process_are_left_alone(spawner):
    process, _, child = family(spawner, "sleep 1000 >/dev/null & echo $!", flags=KILL_ON_CLOSE, time_limit=60000)
    assert process.code() == 0
    process.unref()
    assert spawner.spawn(program="true").code() == 0
    assert state(child) != "gone"
    os.kill(child, signal.SIGKILL)


def test_kill_group(spawner):
    process, lines, child = family(spawner, CHILD)
    assert spawner("kill_group", process.index, signal.SIGTERM)["result"] == 0
    assert process.wait().signal == signal.SIGTERM
    assert eventually(lambda: state(child) == "gone")
    with pytest.raises(Failure) as info:
        spawner("kill_group", process.index, signal.SIGTERM)
    assert info.value.errno == "ESRCH"


def test_kill_group_of_a_process_that_leads_none(spawner):
    process = spawner.spawn(program="sleep", argv=["sleep", "1000"])
    assert spawner("kill_group", process.index, signal.SIGTERM)["result"] == 0
    assert process.wait().signal == signal.SIGTERM


# ---- stops ----

def wait(spawner, process):
    answer = spawner("wait", process.index, LIMIT * 1000)
    return answer["result"], answer["flags"], answer["signal"]


def test_stops_are_told(spawner, testmod):
    process = spawner.call(f"{testmod}:hang", flags=TELL_STOPS, group=0)
    for number in signal.SIGSTOP, signal.SIGTSTP:
        process.kill(number)
        assert wait(spawner, process) == (1, STOPPED, number)
        process.kill(signal.SIGCONT)
        assert wait(spawner, process) == (1, CONTINUED, 0)
    process.kill(signal.SIGSTOP)
    assert spawner("poll_fd", process.index, LIMIT * 1000)["result"] == 1
    assert wait(spawner, process) == (1, STOPPED, signal.SIGSTOP)
    process.kill()
    assert wait(spawner, process) == (0, 0, signal.SIGKILL)


def test_stops_before_the_server_knows_of_the_process(spawner):
    """The first that asks, and one of which the server hears first by its stop."""
    spawner.spawn(program="true").wait()
    server, stops = spawner.server(), ["sh", "-c", "kill -STOP $$"]
    for _ in range(2):
        assert eventually(lambda: spawner.standbys())
        os.kill(server, signal.SIGSTOP)
        process = spawner.spawn(program="/bin/sh", argv=stops, flags=TELL_STOPS)
        assert eventually(lambda: state(process.pid) == "T")
        os.kill(server, signal.SIGCONT)
        assert wait(spawner, process) == (1, STOPPED, signal.SIGSTOP)
        process.kill()
        assert wait(spawner, process) == (0, 0, signal.SIGKILL)


def test_stops_are_not_told_to_others(spawner, testmod):
    spawner.call(f"{testmod}:exit_with", 0, flags=TELL_STOPS).wait()
    process = spawner.call(f"{testmod}:hang")
    process.kill(signal.SIGSTOP)
    assert eventually(lambda: state(process.pid) == "T")
    process.kill(signal.SIGKILL)
    assert wait(spawner, process) == (0, 0, signal.SIGKILL)


def test_stops_without_a_reader(spawner, testmod):
    """More than a socket holds: the end is told all the same."""
    process = spawner.call(f"{testmod}:hang", flags=TELL_STOPS)
    for _ in range(1000):
        os.kill(process.pid, signal.SIGSTOP)
        assert eventually(lambda: state(process.pid) == "T")
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    answers = [wait(spawner, process)]
    while answers[-1][0] == 1:
        answers.append(wait(spawner, process))
    assert answers[-1] == (0, 0, signal.SIGKILL)


def test_stops_of_a_process_that_run_waits_for(spawner, testmod):
    assert spawner.run(entry=f"{testmod}:exit_with", argv=["exit_with", "3"], flags=TELL_STOPS).exit_code == 3


# ---- quick exit ----

def test_quick_exit(spawner, module):
    spawner.new(preload=[module("exits")])
    entry = f"{module('exits')}:leave"
    for how in "return", "exit":
        assert spawner.output(entry, how) == "worker's\nmodule's\nbuffered\n"
        assert spawner.output(entry, how, flags=QUICK_EXIT) == "worker's\nbuffered\n"


def test_quick_exit_of_a_module_that_the_worker_loads(spawner, module):
    assert spawner.output(f"{module('exits')}:leave", "exit", flags=QUICK_EXIT) == "worker's\nmodule's\nbuffered\n"


# ---- counts ----

def test_deaths_are_counted_by_signal(spawner, testmod):
    for number in signal.SIGTERM, signal.SIGKILL, signal.SIGTERM:
        process = spawner.call(f"{testmod}:hang")
        process.kill(number)
        process.wait()
    assert spawner.stats()["signals"] == {str(int(signal.SIGTERM)): 2, str(int(signal.SIGKILL)): 1}
