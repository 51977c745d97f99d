# SPDX-License-Identifier: MIT
"""doc/differences.md, claim by claim."""

import os
import resource
import signal

import pytest

from spawner import children, eventually, state, title

@pytest.fixture(scope="session")
def differences(module):
    return module("differences")


def status(spawner, module, name):
    return spawner.output(f"{module}:status", name).strip()


def file(spawner, module, path):
    return spawner.output(f"{module}:file", path).strip()


# ---- the parent ----


def test_the_parent_is_the_server(spawner, testmod):
    parent = int(spawner.output(f"{testmod}:where").split()[1])
    assert parent == spawner.server() != spawner.process.pid


def test_the_caller_sees_no_children(spawner, testmod):
    spawner("sigchld")
    process = spawner.call(f"{testmod}:exit_with", 3)
    assert process.code() == 3
    assert spawner("sigchld")["result"] == 0
    with pytest.raises(Exception, match="ECHILD"):
        spawner("wait_any")
    assert children(spawner.process.pid) == []


def test_a_parent_death_signal_is_about_the_server(spawner, differences, tmp_path):
    path = tmp_path / "out"
    process = spawner.call(f"{differences}:die_with_parent", path)
    assert eventually(lambda: path.exists() and path.read_text())
    server = spawner.server()
    assert int(path.read_text()) == server
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: state(process.pid) == "gone")  # and not when its client went, which lives


# ---- what is the server's ----


def test_limits_of_the_servers_start(spawner, differences):
    before = spawner.output(f"{differences}:limits")
    spawner("limit", "nproc", 12345)
    assert spawner.output(f"{differences}:limits") == before
    spawner("stop", 60000)
    assert spawner.output(f"{differences}:limits").split()[1] == "12345"


def test_the_soft_limit_of_open_files_is_given_back(start, differences):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spawner = start()
    spawner("limit", "nofile", 321)
    spawner.new(preload=[differences])
    assert spawner.output(f"{differences}:limits").split()[0] == "321"
    server = spawner.server()
    line = [line for line in open(f"/proc/{server}/limits") if line.startswith("Max open files")][0]
    assert int(line.split()[3]) == hard


@pytest.mark.parametrize("name", ["oom_score_adj", "cgroup"])
def test_of_the_servers_start(spawner, differences, name):
    own = open(f"/proc/{spawner.process.pid}/{name}").read().strip()
    assert file(spawner, differences, f"/proc/self/{name}") == own
    if name == "oom_score_adj":
        with open(f"/proc/{spawner.process.pid}/oom_score_adj", "w") as f:
            f.write("500")
        assert file(spawner, differences, "/proc/self/oom_score_adj") == own


def test_priority_and_affinity_of_the_servers_start(spawner, differences):
    before, pid = spawner.output(f"{differences}:limits"), spawner.process.pid
    cpus = status(spawner, differences, "Cpus_allowed")
    os.setpriority(os.PRIO_PROCESS, pid, 7)
    os.sched_setaffinity(pid, {min(os.sched_getaffinity(pid))})
    assert spawner.output(f"{differences}:limits") == before
    assert status(spawner, differences, "Cpus_allowed") == cpus


def test_what_the_caller_gave_up_later_workers_have(spawner, differences):
    before = status(spawner, differences, "NoNewPrivs")
    spawner("no_new_privs")
    assert status(spawner, differences, "NoNewPrivs") == before
    spawner("stop", 60000)
    assert status(spawner, differences, "NoNewPrivs") == "1"


def test_namespaces_of_the_server(spawner, differences):
    if os.geteuid() != 0:
        pytest.skip("only root may unshare")
    before = spawner.output(f"{differences}:link_of", "/proc/self/ns/uts")
    spawner("unshare")
    assert os.readlink(f"/proc/{spawner.process.pid}/ns/uts") != before
    assert spawner.output(f"{differences}:link_of", "/proc/self/ns/uts") == before


def test_a_session_of_its_own_later(start, differences, testmod):
    """The caller leaves the session; its workers lead groups in the old one."""
    spawner = start()
    spawner.new(preload=[testmod])
    before = spawner.output(f"{testmod}:where").split()
    spawner("setsid")
    after = spawner.output(f"{testmod}:where").split()
    assert after[3] == before[3] != str(spawner.process.pid)  # sid
    assert after[2] == after[0]  # the leader of its group


# ---- memory ----


def test_siblings_share_their_layout_and_programs_do_not(spawner, differences):
    assert len({spawner.output(f"{differences}:secrets") for _ in range(5)}) == 1
    maps = {spawner.code_and_output(program="/bin/sh", argv=["sh", "-c", "grep stack /proc/self/maps"])[1]
            for _ in range(5)}
    if open("/proc/sys/kernel/randomize_va_space").read().strip() != "0":
        assert len(maps) > 1


def test_one_thread(spawner, differences):
    assert status(spawner, differences, "Threads") == "1"


def test_the_executable_is_the_zygotes(spawner, differences):
    assert spawner.output(f"{differences}:link_of", "/proc/self/exe").endswith("forkserver-zygote")


# ---- daemons ----


def leave_behind(spawner, differences, path, how):
    assert spawner.call(f"{differences}:daemonise", path, how).code() == 0
    return int(eventually(lambda: path.exists() and path.read_text()))


@pytest.mark.parametrize("deny", [[], ["sud"]])
def test_a_daemon_lives_on(start, program, differences, tmp_path, deny):
    """Both ways of forking: the server doesn't wait for it, whatever process inherits it."""
    spawner = start(before=[program("deny"), *deny, "--"] if deny else ())
    spawner.new(preload=[differences])
    pid = leave_behind(spawner, differences, tmp_path / "pid", "close")
    server = spawner.server()
    spawner("stop", 60000)
    assert eventually(lambda: state(server) == "gone") and state(pid) != "gone"
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: state(pid) == "gone")


def test_a_daemon_that_holds_the_doorbell_keeps_the_server(start, differences, tmp_path):
    for how, kept in (("keep", True), ("close", False)):
        spawner = start()
        spawner.new(preload=[differences])
        pid = leave_behind(spawner, differences, tmp_path / how, how)
        server = spawner.server()
        spawner("free")
        if kept:
            assert title(server) == "forkserver: server"
            os.kill(pid, signal.SIGKILL)
            assert eventually(lambda: state(server) == "gone")
        else:
            assert eventually(lambda: state(server) == "gone") and state(pid) != "gone"
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: state(pid) == "gone")
