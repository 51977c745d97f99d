# SPDX-License-Identifier: MIT
"""What a process sees: as of posix_spawn(3), the caller's of now, or what the request says."""

import os
import signal
import subprocess

from spawner import LIMIT, eventually, state, title
from test_spawn import refused


def where(spawner, testmod, **request):
    pid, ppid, pgid, sid, rest = spawner.output(f"{testmod}:where", **request).rstrip("\n").split(" ", 4)
    directory, _, umask = rest.rpartition(" ")
    return {"pid": pid, "ppid": ppid, "pgid": pgid, "sid": sid, "directory": directory, "umask": umask}


def signals(spawner, testmod, **request):
    """name -> set of signal numbers"""
    found = {}
    for line in spawner.output(f"{testmod}:signals", **request).splitlines():
        name, bits = line.split()
        found[name] = {n for n in range(1, 65) if int(bits, 16) >> (n - 1) & 1}
    return found


# ---- environment, directory, umask ----


def test_environment_of_now(spawner, testmod):
    spawner("ensure")  # which may need FORKSERVER_HELPERS
    spawner("clearenv")
    for i in range(3):
        spawner("setenv", "NOW", i)
        assert spawner.output(f"{testmod}:env") == f"NOW={i}\n"
        assert spawner.code_and_output(program="/usr/bin/env") == (0, f"NOW={i}\n")
    spawner("setenv", "NOW")
    assert spawner.output(f"{testmod}:env") == ""


def test_environment_of_the_request(spawner, testmod):
    environment = ["B=2", "A=x y", "EMPTY=", "NOEQUALS"]
    assert spawner.output(f"{testmod}:env", environment=environment).splitlines() == environment
    assert spawner.output(f"{testmod}:get", "A", environment=environment) == "3\n"
    assert spawner.output(f"{testmod}:env", environment=[]) == ""


def test_directory_of_now(spawner, testmod, tmp_path):
    for name in ("one", "two words"):
        (tmp_path / name).mkdir()
        spawner("chdir", tmp_path / name)
        assert spawner.code_and_output(program="pwd", argv=["pwd", "-P"]) == (0, f"{tmp_path / name}\n")


def test_directory_of_the_request(spawner, testmod, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    spawner("chdir", tmp_path / "a")
    assert where(spawner, testmod, directory="b")["directory"] == str(tmp_path / "a" / "b")
    assert where(spawner, testmod, directory="..")["directory"] == str(tmp_path)
    assert where(spawner, testmod, directory="/")["directory"] == "/"
    assert where(spawner, testmod)["directory"] == str(tmp_path / "a")


def test_directory_that_was_removed(spawner, testmod, tmp_path):
    (tmp_path / "gone").mkdir()
    spawner("chdir", tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert spawner.call(f"{testmod}:exit_with", 3).code() == 3
    assert where(spawner, testmod, directory="/")["directory"] == "/"


def test_directory_before_fd_actions(spawner, tmp_path):
    (tmp_path / "here").write_text("right")
    actions = [("open", 0, "here", os.O_RDONLY, 0)]
    assert spawner.code_and_output(program="cat", directory=tmp_path, actions=actions) == (0, "right")


def test_umask(spawner, testmod):
    for mask in (0o022, 0o077, 0):
        spawner("umask", mask)
        assert where(spawner, testmod)["umask"] == f"{mask:03o}"
    assert where(spawner, testmod, umask=0o027)["umask"] == "027"
    assert spawner.code_and_output(program="sh", argv=["sh", "-c", "umask"], umask=0o137) == (0, "0137\n")


# ---- signals ----


def test_signal_mask_of_now(spawner, testmod):
    for mask in ([signal.SIGUSR1, signal.SIGRTMIN + 3], [signal.SIGTERM], []):
        spawner("mask", *map(int, mask))
        assert signals(spawner, testmod)["SigBlk:"] == set(map(int, mask))


def test_ignored_signals_of_now(spawner, testmod):
    spawner("ignore", int(signal.SIGPIPE), 1)
    spawner("ignore", int(signal.SIGUSR2), 1)
    assert {signal.SIGPIPE, signal.SIGUSR2} <= signals(spawner, testmod)["SigIgn:"]
    spawner("ignore", int(signal.SIGUSR2), 0)
    assert signal.SIGUSR2 not in signals(spawner, testmod)["SigIgn:"]
    code, text = spawner.code_and_output(program="grep", argv=["grep", "SigIgn", "/proc/self/status"])
    assert int(text.split()[1], 16) >> (signal.SIGPIPE - 1) & 1


def test_signals_of_the_request(spawner, testmod):
    spawner("mask", int(signal.SIGHUP))
    spawner("ignore", int(signal.SIGUSR2), 1)
    found = signals(spawner, testmod, signal_mask=[int(signal.SIGTERM)], signals_ignored=[int(signal.SIGINT), 40])
    assert found["SigBlk:"] == {signal.SIGTERM} and found["SigIgn:"] == {signal.SIGINT, 40}
    found = signals(spawner, testmod, signal_mask=[], signals_ignored=[])
    assert found["SigBlk:"] == found["SigIgn:"] == set()
    assert signals(spawner, testmod, signals_ignored=[9, 19])["SigIgn:"] == set()  # which nobody can ignore


def test_handlers_of_the_caller_are_not_inherited(spawner, testmod):
    spawner("sigchld")
    assert signals(spawner, testmod)["SigCgt:"] == set()


def test_no_handler_of_a_module_gets_into_a_worker(start, module, testmod):
    spawner = start()
    spawner.new(preload=[module("handlers"), testmod])
    found = signals(spawner, testmod, signals_ignored=[])
    assert found == {"SigBlk:": set(), "SigIgn:": set(), "SigCgt:": set()}
    for number in (signal.SIGTERM, signal.SIGSYS, signal.SIGUSR1):
        assert spawner.call(f"{testmod}:die_by", int(number)).code() == -number


# ---- groups and sessions ----


def test_group_of_the_caller(spawner, testmod):
    spawner("setpgid")
    ids, found = spawner("ids"), where(spawner, testmod)
    assert (int(found["pgid"]), int(found["sid"])) == (ids["pgid"], ids["sid"])


def test_new_group(spawner, testmod):
    ids, found = spawner("ids"), where(spawner, testmod, group=0)
    assert found["pgid"] == found["pid"] and int(found["sid"]) == ids["sid"]


def test_join_group(spawner, testmod):
    leader = spawner.call(f"{testmod}:hang", group=0)
    assert int(where(spawner, testmod, group=leader.pid)["pgid"]) == leader.pid
    leader.kill()
    leader.wait()


def test_group_that_is_not_there(spawner, testmod):
    failure = refused(spawner.call, f"{testmod}:hang", group=2**22 + 5)
    assert (failure.errno, failure.stage) in (("EPERM", "group"), ("ESRCH", "group"))


def test_new_session(spawner, testmod):
    found = where(spawner, testmod, session=1)
    assert found["pid"] == found["pgid"] == found["sid"]
    failure = refused(spawner.call, f"{testmod}:hang", session=1, group=0)
    assert (failure.errno, failure.stage) == ("EINVAL", "argument")


def test_caller_in_another_session(spawner, testmod):
    spawner("ensure")
    spawner("setsid")  # the server stays in the old one, so its workers can't join our group
    found = where(spawner, testmod)
    assert found["pgid"] == found["pid"]


# ---- limits ----


def test_limit_of_open_files_is_the_callers(start, testmod):
    spawner = start()
    spawner("limit", "nofile", 100, 200)
    spawner.new(preload=[testmod])
    assert spawner.output(f"{testmod}:limits") == "100 200\n"
    assert spawner.code_and_output(program="sh", argv=["sh", "-c", "ulimit -Sn; ulimit -Hn"]) == (0, "100\n200\n")


def test_ignored_sigchld_loses_no_status(start, testmod):
    """As a program inherits it that is started with SIGCHLD ignored: the kernel then reaps children by itself."""
    spawner = start(preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    spawner.new(preload=[testmod])
    for i in range(20):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    assert signal.SIGCHLD in signals(spawner, testmod)["SigIgn:"]


def test_blocked_signals_of_the_caller_do_not_stop_the_server(start, testmod):
    spawner = start()
    spawner("mask", *range(1, 65))
    spawner.new(preload=[testmod])
    for i in range(5):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    spawner("stop", 60000)


def test_stdin_of_the_zygote_is_the_null_device(start, module, tmp_path):
    """A module that reads its standard input while it loads would else take the client's, or hang."""
    log = open(tmp_path / "log", "w+")
    spawner = start(stderr=log)
    spawner.new(preload=[module("stdio_unflushed")])
    for _ in range(3):
        assert spawner.code_and_output(program="echo", argv=["echo", "x"]) == (0, "x\n")
    spawner.zygote()
    log.seek(0)
    # Written once, by the zygote, and not again by each process that got a copy of its buffer.
    assert log.read() == "left in the buffer stdin -1 "
    log.close()


def test_stdio_that_a_module_left_is_not_written_by_workers(start, module, testmod, tmp_path):
    with open(tmp_path / "log", "w+") as log:
        spawner = start(stderr=log)
        spawner.new(preload=[module("stdio_unflushed"), testmod])
        for _ in range(3):
            assert spawner.output(f"{testmod}:echo", "x") == "x\n"


def test_what_a_module_prints_is_output_if_asked_for(program, module, testmod, tmp_path):
    """Once, and a reader of it doesn't wait for the server, nor for what it started."""
    log = tmp_path / "log"
    with open(log, "w") as errors:
        said = subprocess.run([program("output"), f"{testmod}:hang", module("stdio_unflushed"), testmod],
                              stdout=subprocess.PIPE,
                              stderr=errors, stdin=subprocess.DEVNULL, text=True, timeout=LIMIT).stdout
    text, *pids = said.rsplit(maxsplit=3)
    worker, server, zygote = map(int, pids)
    assert text == "left in the buffer stdin -1" and log.read_text() == ""
    assert eventually(lambda: state(worker) == "S") and title(server) == "forkserver: server"
    os.kill(zygote, signal.SIGKILL)
    assert eventually(lambda: log.read_text() == "left in the buffer stdin -1 ")  # of the next one
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: state(server) == "gone")
