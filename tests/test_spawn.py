# SPDX-License-Identifier: MIT
"""Spawning, waiting, killing: the library's main calls."""

import os
import pathlib
import signal
import stat
import subprocess

import pytest

from spawner import KILL_ON_CLOSE, LIMIT, STANDBYS, TIMED_OUT, Failure, eventually, state, title


def refused(call, *args, **kwargs):
    with pytest.raises(Failure) as info:
        call(*args, **kwargs)
    return info.value


# ---- ends ----


@pytest.mark.parametrize("code", [0, 1, 199, 255])
def test_exit_code(spawner, testmod, code):
    assert spawner.call(f"{testmod}:exit_with", code).code() == code
    assert spawner.spawn(program="sh", argv=["sh", "-c", f"exit {code}"]).code() == code


def test_exit_code_is_cut_as_by_exit(spawner, testmod):
    assert spawner.call(f"{testmod}:exit_with", 256 + 7).code() == 7


@pytest.mark.parametrize("number", ["KILL", "SEGV", "TERM", "ABRT", "USR1", "SYS", "PIPE"])
def test_signal(spawner, testmod, number):
    number = getattr(signal, "SIG" + number)
    assert spawner.call(f"{testmod}:die_by", int(number)).code() == -number
    assert spawner.spawn(program="sh", argv=["sh", "-c", f"ulimit -c 0; kill -{int(number)} $$"]).code() == -number


def test_entry_ends_as_main_does(spawner, testmod):
    assert spawner.code_and_output(entry=f"{testmod}:atexit_flush") == (3, "unflushed at exit\n")


def test_status_stays(spawner, testmod):
    process = spawner.call(f"{testmod}:exit_with", 3)
    first, second = process.wait(), process.wait(0)
    assert (first.exit_code, first.pid) == (second.exit_code, second.pid) == (3, process.pid)
    spawner("wait_null", process.index, 0)


def test_rusage(spawner, testmod):
    status = spawner.call(f"{testmod}:burn", 30).wait()
    assert status.cpu_us >= 25000 and status.maxrss > 0 and status.flags == 0


def test_wait_timeout(spawner, testmod):
    process = spawner.call(f"{testmod}:hang")
    for timeout in (0, 1, 20):
        assert refused(process.wait, timeout).errno == "ETIMEDOUT"
    process.kill()
    assert process.code() == -signal.SIGKILL


def test_wait_checks_the_size(spawner, testmod):
    process = spawner.call(f"{testmod}:exit_with", 0)
    assert refused(spawner, "wait", process.index, 1000, 8).errno == "EINVAL"
    assert process.code() == 0


def test_kill(spawner, testmod):
    process = spawner.call(f"{testmod}:hang")
    process.kill(0)
    assert refused(process.kill, 9999).errno == "EINVAL"
    process.kill(signal.SIGTERM)
    assert process.code() == -signal.SIGTERM
    assert refused(process.kill, signal.SIGTERM).errno == "ESRCH"


def test_kill_before_the_end_is_known(spawner, testmod):
    process = spawner.call(f"{testmod}:exit_with", 0)
    assert eventually(lambda: not process.is_alive())
    assert eventually(lambda: spawner.stats()["workers"] == 0)
    assert refused(process.kill, signal.SIGTERM).errno == "ESRCH"
    assert process.code() == 0


def test_pidfd(spawner, testmod):
    process = spawner.call(f"{testmod}:hang")
    assert spawner("pidfd", process.index, 0)["result"] == 0
    process.kill()
    assert spawner("pidfd", process.index, 60000)["result"] == 1
    process.wait()
    assert spawner("pidfd", process.index, 0)["result"] == 1


def test_poll_fd(spawner, testmod):
    process = spawner.call(f"{testmod}:hang")
    assert spawner("poll_fd", process.index, 20)["result"] == 0
    process.kill()
    answer = spawner("loop", process.index, 60000)
    assert answer["signal"] == signal.SIGKILL and answer["wakeups"] < 10
    assert spawner("poll_fd", process.index, 60000)["result"] == 1  # for ever: the server has closed its end


def test_references(spawner, testmod):
    process = spawner.call(f"{testmod}:hang", flags=KILL_ON_CLOSE)
    other = spawner("ref", process.index)["result"]
    process.unref()
    assert process.is_alive()
    spawner("kill", other, signal.SIGTERM)
    assert spawner("wait", other, 60000)["signal"] == signal.SIGTERM
    spawner("unref", other)


def test_many_waiters(program, testmod, sanitized):
    rounds = 20 if sanitized else 100
    result = subprocess.run([program("waiters"), testmod, str(rounds)], capture_output=True, text=True,
                            timeout=2 * LIMIT)
    assert result.returncode == 0, result.stderr
    assert f'"right":{rounds * 6},' in result.stdout and result.stderr == "", result.stdout + result.stderr


def test_time_limit(spawner, testmod):
    status = spawner.call(f"{testmod}:hang", time_limit=50).wait()
    assert (status.signal, status.flags & TIMED_OUT) == (signal.SIGKILL, TIMED_OUT)
    status = spawner.call(f"{testmod}:exit_with", 3, time_limit=60000).wait()
    assert (status.exit_code, status.flags) == (3, 0)
    status = spawner.spawn(program="sleep", argv=["sleep", "1000"], time_limit=50).wait()
    assert status.flags & TIMED_OUT


def test_time_limits_in_any_order(spawner, testmod):
    limits = [400, 100, 60000, 200, 300, 50]
    processes = [spawner.call(f"{testmod}:hang", time_limit=limit) for limit in limits]
    processes[2].kill(signal.SIGTERM)
    for limit, process in zip(limits, processes):
        status = process.wait()
        assert bool(status.flags & TIMED_OUT) == (limit != 60000), limit


def test_time_limit_holds_while_the_client_is_stopped(spawner, testmod):
    process = spawner.call(f"{testmod}:hang", time_limit=100)
    spawner.process.send_signal(signal.SIGSTOP)
    assert eventually(lambda: not process.is_alive())
    spawner.process.send_signal(signal.SIGCONT)
    assert process.wait().flags & TIMED_OUT


# ---- what it runs ----


def test_arguments(spawner, testmod):
    entry = f"{testmod}:echo"
    words = ["", "a b", "%41", "ü", "--", "line\nbreak"]
    assert spawner.output(entry, *words).encode("latin-1").decode() == "".join(word + "\n" for word in words)
    code, text = spawner.code_and_output(program="printf", argv=["printf", "%s|", *words])
    assert text.encode("latin-1").decode() == "".join(word + "|" for word in words)


def test_default_arguments(spawner, testmod):
    assert spawner.code_and_output(entry=f"{testmod}:name") == (0, f"1 {testmod}:name\n")
    assert spawner.spawn(program="true").code() == 0


def test_arguments_belong_to_the_worker(spawner, testmod):
    assert spawner.call(f"{testmod}:change_arguments", "a", "b").code() == 3
    large = "x" * 200000
    assert spawner.call(f"{testmod}:change_arguments", large).code() == 2


def test_entry_of_a_module_that_is_not_preloaded(start, testmod):
    spawner = start()
    spawner("new", "default")
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5


def test_entry_in_a_preloaded_module_is_not_loaded_again(spawner, testmod):
    count, pid = spawner.output(f"{testmod}:constructor_count").split()
    assert (int(count), int(pid)) == (1, spawner.zygote())


def test_module_by_name_of_the_loader(start):
    spawner = start()
    spawner.new(preload=["libc.so.6"])
    process = spawner.call("libc.so.6:getpid")
    assert process.code() == process.pid % 256


def test_program_with_a_slash(spawner, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 9\n")
    script.chmod(0o755)
    assert spawner.spawn(program=str(script)).code() == 9
    spawner("chdir", tmp_path)
    assert spawner.spawn(program="./script").code() == 9


def test_program_by_the_path_of_now(spawner, tmp_path):
    for i in (1, 2):
        (tmp_path / str(i)).mkdir()
        script = tmp_path / str(i) / "which-one"
        script.write_text(f"#!/bin/sh\nexit {i}\n")
        script.chmod(0o755)
    assert refused(spawner.spawn, program="which-one").errno == "ENOENT"
    spawner("setenv", "PATH", f"/nonexistent:{tmp_path}/2:{tmp_path}/1")
    assert spawner.spawn(program="which-one").code() == 2
    spawner("setenv", "PATH", f"{tmp_path}/1:{tmp_path}/2")
    assert spawner.spawn(program="which-one").code() == 1
    # The caller's PATH counts, not that of the environment which it gives.
    assert spawner.spawn(program="which-one", environment=[f"PATH={tmp_path}/2"]).code() == 1
    spawner("setenv", "PATH")
    assert spawner.spawn(program="true").code() == 0


def test_program_that_may_not_be_executed_is_passed_over(spawner, tmp_path):
    for name, mode in (("a", 0o644), ("b", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("#!/bin/sh\nexit 4\n")
        (tmp_path / name / "x").chmod(mode)
    spawner("setenv", "PATH", f"{tmp_path}/a")
    failure = refused(spawner.spawn, program="x")
    assert (failure.errno, failure.stage) == ("EACCES", "exec")
    spawner("setenv", "PATH", f"{tmp_path}/a:{tmp_path}/b")
    assert spawner.spawn(program="x").code() == 4


def test_pipes(spawner, testmod):
    spawner.request(entry=f"{testmod}:cat")
    answer = spawner("spawn_pipes", 7)
    to, out, err = answer["fds"]
    spawner("write", to, "hello")
    spawner("close", to)
    assert spawner("read", out)["bytes"] == "hello"
    assert spawner("read", err)["bytes"] == ""
    spawner("close", out, err)
    assert spawner("wait", answer["process"], 60000)["exit_code"] == 0


def test_pipes_that_were_not_asked_for(spawner):
    spawner.request(program="sh", argv=["sh", "-c", "echo out; echo err >&2"], actions=[("open", 1, "/dev/null", 1, 0)])
    answer = spawner("spawn_pipes", 4)
    assert answer["fds"][:2] == [-1, -1]
    assert spawner("read", answer["fds"][2])["bytes"] == "err\n"
    spawner("close", answer["fds"][2])
    assert spawner("wait", answer["process"], 60000)["exit_code"] == 0


def test_pipes_over_mapped_streams(spawner, tmp_path):
    actions = [("open", 1, tmp_path / "file", os.O_WRONLY | os.O_CREAT, 0o600)]
    spawner.request(program="echo", argv=["echo", "x"], actions=actions)
    answer = spawner("spawn_pipes", 2)
    assert spawner("read", answer["fds"][1])["bytes"] == "x\n"
    spawner("close", answer["fds"][1])
    spawner("wait", answer["process"], 60000)


def test_failed_pipes_leave_nothing(spawner):
    before = None
    for _ in range(3):
        spawner.request(program="/no/such/program")
        failure = refused(spawner, "spawn_pipes", 7)
        assert failure.errno == "ENOENT" and failure.answer["fds"] == [-7, -7, -7]
        now = spawner("count_fds")["result"]
        assert before in (None, now)
        before = now


@pytest.mark.parametrize("size", [60000, 65536, 70000, 1 << 20, 20 << 20])
def test_large_request(spawner, testmod, size):
    assert spawner.output(f"{testmod}:get", "BIG", environment=["A=1", "BIG=" + "x" * size]) == f"{size}\n"


def test_large_environment_of_a_program(spawner):
    environment = [f"V{i}=" + "x" * 1000 for i in range(1000)]
    code, text = spawner.code_and_output(program="env", environment=environment)
    assert code == 0 and sorted(text.splitlines()) == sorted(environment)


def test_many_arguments(spawner, testmod):
    code, text = spawner.code_and_output(entry=f"{testmod}:echo", argv=["x"] * 50001)
    assert code == 0 and text == "x\n" * 50000


def test_atfork_handlers_run(start, module):
    spawner = start()
    spawner.new(preload=[module("atfork")])
    assert spawner.output(f"{module('atfork')}:report") == "1 1\n"


# ---- in a worker ----


def test_handed_fds(start, module, tmp_path):
    spawner = start()
    spawner.new(preload=[module("nested")])
    fds = []
    for i in range(5):
        (tmp_path / str(i)).write_text(f"file {i}")
        fds.append(spawner("open", tmp_path / str(i), os.O_RDONLY)["result"])
    spawner.request(entry=f"{module('nested')}:fds", actions=[("fd", fd) for fd in reversed(fds)])
    assert spawner.code_and_output() == (5, "file 4;file 3;file 2;file 1;file 0;")


def test_programs_get_no_handed_fds(spawner):
    fd = spawner("open", "/dev/null", os.O_RDONLY)["result"]
    code, text = spawner.code_and_output(program="ls", argv=["ls", "/proc/self/fd"], actions=[("fd", fd)])
    assert text.split() == ["0", "1", "2", "3"]  # the last is its own


def test_client(start, module):
    spawner = start()
    spawner("new", "default")
    assert spawner.output(f"{module('nested')}:client") == f"{spawner.process.pid} {os.getuid()}\n"


def test_lifeline_when_the_client_dies(start, module, tmp_path):
    spawner = start()
    spawner("new", "default")
    process = spawner.call(f"{module('nested')}:lifeline", tmp_path / "log")
    assert eventually(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text() == "ready\n")
    spawner.die()
    assert eventually(lambda: (tmp_path / "log").read_text() == "ready\ngone\n")
    assert eventually(lambda: not process.is_alive())


def test_lifeline_when_the_handle_is_freed(start, module, tmp_path):
    spawner = start()
    spawner("new", "default")
    process = spawner.call(f"{module('nested')}:lifeline", tmp_path / "log")
    assert eventually(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text() == "ready\n")
    spawner("free")
    assert process.code() == 0
    assert (tmp_path / "log").read_text() == "ready\ngone\n"


def test_nested(start, module):
    spawner = start()
    spawner.new(preload=[module("nested")])
    entry = f"{module('nested')}:nest"
    code, text = spawner.code_and_output(entry=entry, argv=[entry, "5"])
    assert code == 6
    assert text.split() == [str(spawner.server())] * 6
    assert spawner.stats()["zygote_starts"] == 1


def test_worker_keeps_the_server(start, module, tmp_path):
    """The client is gone; a worker of its spawns from the same private server all the same."""
    spawner = start()
    spawner.new(preload=[module("nested")])
    nested, log = module("nested"), tmp_path / "log"
    server = spawner.server()
    spawner.call(f"{nested}:wait_then_nest", log, f"{nested}:nest")
    assert eventually(lambda: log.exists() and "ready" in log.read_text())
    spawner.die()
    assert eventually(lambda: "nested" in log.read_text())
    assert "nested 2" in log.read_text()
    assert eventually(lambda: state(server) == "gone")


def test_programs_that_an_entry_executes_get_nothing(start, module):
    spawner = start()
    spawner("new", "default")
    assert spawner.output(f"{module('nested')}:execute", "/bin/ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]


def test_calls_outside_of_a_worker(start):
    spawner = start()
    spawner("nulls")
    failure = refused(spawner, "inherit")
    assert (failure.errno, failure.stage) == ("ENOENT", "argument")


# ---- servers ----


def test_server_has_no_preloaded_module(spawner, testmod):
    assert spawner.call(f"{testmod}:exit_with", 0).code() == 0
    assert "testmod.so" not in pathlib.Path(f"/proc/{spawner.server()}/maps").read_text()
    assert "libforkserver" not in pathlib.Path(f"/proc/{spawner.server()}/maps").read_text()
    assert "testmod.so" in pathlib.Path(f"/proc/{spawner.zygote()}/maps").read_text()


def test_constructor_runs_once_per_zygote(start, testmod, tmp_path):
    log = tmp_path / "log"
    spawner = start(env={**os.environ, "TESTMOD_LOG": str(log)})
    spawner.new(preload=[testmod], standbys=3)
    for i in range(50):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    zygotes = [spawner.zygote()]
    os.kill(zygotes[0], signal.SIGKILL)
    assert eventually(lambda: spawner.stats()["zygote_restarts"] == 1)
    for i in range(50):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    zygotes.append(spawner.zygote())
    assert [int(line) for line in log.read_text().split()] == zygotes


def test_preload_hook(start, module):
    spawner = start()
    hook = module("preload_hook")
    spawner.new(preload=[hook])
    for _ in range(3):
        assert spawner.output(f"{hook}:report") == f"1 {spawner.zygote()}\n"


def test_server_is_no_child_of_the_caller(spawner, testmod):
    spawner("sigchld")
    for i in range(20):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    assert refused(spawner, "wait_any").errno == "ECHILD"
    server = spawner.server()
    spawner("stop", 60000)
    assert eventually(lambda: state(server) == "gone")
    assert spawner.call(f"{testmod}:exit_with", 1).code() == 1
    assert refused(spawner, "wait_any").errno == "ECHILD"
    assert spawner("sigchld")["result"] == 0


def test_server_is_every_workers_parent(spawner, testmod):
    pid, parent = spawner.output(f"{testmod}:where").split()[:2]
    assert int(parent) == spawner.server()
    code, text = spawner.code_and_output(program="sh", argv=["sh", "-c", "echo $PPID"])
    assert int(text) == spawner.server()


def test_titles(spawner, testmod):
    process = spawner.call(f"{testmod}:hang", "word")
    assert title(spawner.server()) == "forkserver: server"
    assert title(spawner.zygote()) == f"forkserver: zygote {testmod}"[:255]
    assert eventually(spawner.standbys)
    assert title(process.pid).startswith(f"forkserver: worker {testmod}:hang word"[:60])
    process.kill()
    process.wait()


def test_standbys(start, testmod):
    for number in (1, 5):
        spawner = start()
        spawner.new(preload=[testmod], standbys=number)
        spawner("ensure")
        assert eventually(lambda: spawner.stats()["standbys"] == number)
        assert eventually(lambda: len(spawner.standbys()) == number)  # some have their title still to set
        for i in range(20):
            assert spawner.call(f"{testmod}:exit_with", i).code() == i
        assert eventually(lambda: spawner.stats()["standbys"] == number)
        assert eventually(lambda: len(spawner.standbys()) == number)


def test_standbys_that_are_forked_twice(start, program, testmod):
    """The server hears of them before they are its children, and counts each once."""
    spawner = start(before=[program("deny"), "sud", "--"])
    spawner.new(preload=[testmod])
    for i in range(20):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    assert eventually(lambda: spawner.stats()["standbys"] == STANDBYS == len(spawner.standbys()))


def test_stats(spawner, testmod):
    assert all(not value for value in spawner.stats().values())  # it doesn't run yet
    for i in range(7):
        spawner.call(f"{testmod}:exit_with", i).wait()
    process = spawner.call(f"{testmod}:hang")
    refused(spawner.spawn, program="/no/such/program")
    refused(spawner.spawn, entry=f"{testmod}:nothing")
    assert eventually(lambda: spawner.stats()["workers"] == 1)
    stats = spawner.stats()
    assert (stats["spawns"], stats["claims"], stats["exits"]) == (10, 10, 9)
    assert stats["failures"] == {"exec": 1, "entry": 1}
    assert (stats["zygote_starts"], stats["zygote_restarts"]) == (1, 0)
    assert refused(spawner, "stats", 16).errno == "EINVAL"
    process.kill()
    process.wait()


def test_ensure_running(spawner, testmod):
    spawner("ensure")
    server = spawner.server()
    assert title(server) == "forkserver: server"
    spawner("ensure")
    assert spawner.call(f"{testmod}:exit_with", 0).code() == 0
    assert spawner.server() == server


def test_stop(spawner, testmod):
    spawner("stop", 0)  # it doesn't run
    process = spawner.call(f"{testmod}:hang")
    server = spawner.server()
    assert refused(spawner, "stop", 50).errno == "ETIMEDOUT"
    assert process.is_alive()
    process.kill(signal.SIGTERM)
    assert process.code() == -signal.SIGTERM
    assert eventually(lambda: state(server) == "gone")
    assert spawner.call(f"{testmod}:exit_with", 3).code() == 3
    assert spawner.server() != server
    spawner("stop", 60000)


def test_stop_of_an_idle_server(spawner, testmod):
    spawner.call(f"{testmod}:exit_with", 0).wait()
    pids = [spawner.server(), spawner.zygote(), *spawner.standbys()]
    spawner("stop", 60000)
    assert eventually(lambda: all(state(pid) == "gone" for pid in pids))


def test_freed_handle_keeps_processes(spawner, testmod):
    process = spawner.call(f"{testmod}:hang")
    server = spawner.server()
    spawner("free")
    assert process.is_alive()
    process.kill(signal.SIGTERM)
    assert process.code() == -signal.SIGTERM
    assert eventually(lambda: state(server) == "gone")


def test_set_preload(start, testmod, module, tmp_path):
    log = tmp_path / "log"
    spawner = start(env={**os.environ, "TESTMOD_LOG": str(log)})
    spawner("new", "default")
    old = spawner.call(f"{testmod}:hang")
    old_zygote, old_server = spawner.zygote(), spawner.server()
    assert log.read_text() == f"{old.pid}\n"  # loaded in the worker
    spawner("set_preload", 1, testmod)
    new = spawner.call(f"{testmod}:hang")
    assert spawner.zygote() != old_zygote
    assert log.read_text().splitlines()[1:] == [str(spawner.zygote())]
    assert old.is_alive() and new.is_alive()
    old.kill(signal.SIGTERM)
    assert old.code() == -signal.SIGTERM
    assert eventually(lambda: state(old_server) == "gone")
    new.kill(signal.SIGUSR1)
    assert new.code() == -signal.SIGUSR1
    spawner("set_preload", 1)
    assert spawner.call(f"{testmod}:exit_with", 3).code() == 3
    assert "testmod" not in pathlib.Path(f"/proc/{spawner.zygote()}/maps").read_text()


def test_set_preload_refuses(spawner):
    assert refused(spawner, "set_preload", 1, "").errno == "EINVAL"
    assert refused(spawner, "set_preload", 7, "libc.so.6").errno == "EINVAL"
    assert refused(spawner, "set_preload", 1, *["x" * 4000] * 20).errno == "E2BIG"


def test_private_server_is_out_of_reach_of_the_terminal(spawner, testmod):
    spawner("ensure")
    server, own = spawner.server(), spawner("ids")
    assert os.getsid(server) == own["sid"] and os.getpgid(server) != own["pgid"]
    spawner.zygote()  # and standbys, which are in the group too
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
        os.killpg(os.getpgid(server), number)
    assert spawner.call(f"{testmod}:exit_with", 7).code() == 7
    assert spawner.server() == server


def test_private_server_has_no_name(spawner, testmod):
    """Nothing secret in argv, the environment or the file system: no socket of it is bound."""
    spawner("ensure")
    spawner.zygote()
    sockets = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()]
    bound = [words[6] for words in sockets if len(words) > 7]
    for pid in (spawner.server(), spawner.zygote(), *spawner.standbys()):
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(fd)
            except FileNotFoundError:
                continue
            assert not target.startswith("socket:") or target[8:-1] not in bound


def test_what_server_and_zygote_hold(spawner, testmod, tmp_path):
    """Nothing of the client's: a pipe that it closes is closed, a file system can be unmounted."""
    ends = spawner("pipe")["fds"]
    for end in ends:
        spawner("dup2", end, end + 100)  # not close-on-exec
    spawner("chdir", tmp_path)
    spawner("ensure")
    spawner.zygote()
    pipe = os.readlink(f"/proc/{spawner.process.pid}/fd/{ends[0]}")
    for pid in (spawner.server(), spawner.zygote(), *spawner.standbys()):
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                mode, target = os.stat(fd).st_mode, os.readlink(fd)
            except FileNotFoundError:
                continue
            assert target != pipe
            assert int(fd.name) <= 2 or not stat.S_ISREG(mode) or "memfd" in target
