# SPDX-License-Identifier: MIT
"""A program that is its own zygote (row S5 of the seed's contract): tests/programs/program.c, which is a spawner
too."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import zlib

import pytest

from spawner import LIMIT, STANDBYS, Failure, Spawner, children, eventually, state, title
from test_spawn import refused

KINDS = ["program", "program-no-pie", "program-static"]


class Program(Spawner):
    def __init__(self, command, log, mode="", env=None, **options):
        self.log_path = log
        env = {**os.environ, "PROGRAM_LOG": str(log), "PROGRAM_MODE": mode, **(env or {})}
        super().__init__(command, env=env, **options)

    def log(self):
        return self.log_path.read_text().splitlines()

    def state(self):
        return json.loads(self.output(":state"))


@pytest.fixture
def launch(build, program, tmp_path):
    """Starts programs; ends them, and looks at how they ended."""
    programs = []

    def start_one(*words, kind="program", preload=("__main__",), path=None, before=(), **options):
        if not (build / "tests" / kind).exists():
            pytest.skip(f"no {kind} in this build")
        log = tmp_path / f"log{len(programs)}"
        programs.append(Program([*before, str(path or program(kind)), *words], log, **options))
        if preload:
            programs[-1].new(preload=preload)
        return programs[-1]

    yield start_one
    for one in programs:
        one.end()


# ---- what is shared, in each kind of executable ----


@pytest.mark.parametrize("kind", KINDS)
def test_s05_what_ran_before_the_call_is_shared(launch, kind):
    main = launch(kind=kind)
    states = [main.state() for _ in range(5)]
    assert {state["builder"] for state in states} == {main.zygote()}
    assert {state["last"] for state in states} == {99999**2}
    assert {state["parent"] for state in states} == {main.server()}
    assert len({state["pid"] for state in states}) == 5
    assert len(main.log()) == 2, "the program, and its zygote once"


@pytest.mark.parametrize("kind", KINDS)
def test_s05_code_before_the_call_sees_the_same_arguments(launch, kind):
    main = launch("a", "", "-x", "--", "ü b", kind=kind)
    assert main.output(":echo", "1", "") == ":echo\n1\n\n"
    first, second = (line.split(" ", 1)[1] for line in main.log())
    assert first == second and first.startswith("7 ") and " a  -x -- ü b " in first


@pytest.mark.parametrize("kind", KINDS)
def test_s05_exit_statuses(launch, kind):
    main = launch(kind=kind)
    assert main.call(":exit_with", 9).code() == 9
    assert main.call(":crash").code() == -signal.SIGABRT
    process = main.call(":hang")
    process.kill(signal.SIGTERM)
    assert process.code() == -signal.SIGTERM
    assert main.spawn(program="true").code() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_s05_workers_spawn_from_their_own_server(launch, kind):
    main = launch(kind=kind)
    assert main.call(":nest", 20).code() == 21
    assert len(main.log()) == 2


def test_s05_roles_are_in_their_titles(launch, program):
    main = launch("word")
    process = main.call(":hang", "x")
    assert title(main.zygote()).startswith("forkserver: zygote " + program("program"))
    assert title(process.pid) == "forkserver: worker :hang x"
    assert eventually(lambda: len(main.standbys()) == STANDBYS)
    process.kill()


def test_s05_roles_where_the_kernel_keeps_the_command_line(launch, build):
    main = launch("word", before=[str(build / "tests" / "deny"), "set_mm", "--"])
    process = main.call(":hang")
    names = lambda: {pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in children(main.server())}
    assert eventually(lambda: names() == {"fsrv zygote", "fsrv standby", "fsrv worker"}), names()
    assert " word " in pathlib.Path(f"/proc/{process.pid}/cmdline").read_text().replace("\0", " ")
    process.kill()


def test_s05_modules_besides_the_program(launch, testmod):
    for preload in ([testmod, "__main__"], ["__main__", testmod]):
        main = launch(preload=preload)
        assert main.state()["builder"] == main.zygote()
        count, pid = main.output(f"{testmod}:constructor_count").split()
        assert (int(count), int(pid)) == (1, main.zygote())
        assert title(main.zygote()).count("testmod.so") == 1


def test_s05_a_module_that_cannot_be_loaded(launch):
    main = launch(preload=["__main__", "/nonexistent.so"])
    failure = refused(main.call, ":state")
    assert (failure.stage, failure.errno) == ("preload", "ENOENT") and "/nonexistent.so" in failure.text


def test_s05_output_before_the_call_comes_once_from_each_run(launch, tmp_path):
    """What the code before the call leaves in a buffer is not written again by each worker."""
    with open(tmp_path / "err", "w+", encoding="utf-8") as err:
        main = launch(mode="prints", stderr=err, stdout=subprocess.DEVNULL)
        for _ in range(3):
            main.call(":exit_with", 0).code()
        err.seek(0)
        assert err.read().count("prepared\n") == 1  # the zygote's, whose output is standard error


# ---- handles ----


def test_s05_set_preload_on_a_running_handle(launch, testmod):
    main = launch(preload=[testmod])
    assert main.call(f"{testmod}:exit_with", 1).code() == 1
    failure = refused(main.call, ":state")
    assert (failure.stage, failure.errno) == ("entry", "ENOENT") and "__main__" in failure.text
    main("set_preload", 1, "__main__")
    assert main.state()["builder"] == main.zygote()
    main("set_preload", 1)
    assert refused(main.call, ":state").errno == "ENOENT"
    assert len(main.log()) == 2


def test_s05_without_the_call_there_is_no_such_zygote(spawner):
    spawner.new(preload=["__main__"])
    failure = refused(spawner.call, ":state")
    assert (failure.stage, failure.errno) == ("argument", "EINVAL") and "fsrv_zygote_enter" in failure.text


def test_s05_a_forked_client(launch, program, tmp_path):
    env = {**os.environ, "PROGRAM_LOG": str(tmp_path / "log")}
    result = subprocess.run([program("program"), "forks"], env=env, timeout=2 * LIMIT)
    assert result.returncode == 14
    assert len((tmp_path / "log").read_text().splitlines()) == 3  # the program, and two zygotes


def test_s05_a_worker_with_a_server_of_its_own(launch):
    main = launch("word")
    assert main.call(":own", 33).code() == 33
    runs = [line.split(" ", 1)[1] for line in main.log()]
    assert len(runs) == 3 and len(set(runs)) == 1, "the arguments of the first, not the title of the worker"


def test_s05_a_zygote_that_is_killed_is_made_anew(launch):
    main = launch()
    first = main.state()["builder"]
    os.kill(main.zygote(), signal.SIGKILL)
    assert eventually(lambda: main.state()["builder"] != first)


def test_s05_nothing_is_left_when_the_program_is_killed(launch):
    main = launch()
    main.call(":exit_with", 0).code()
    main.die()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_s05_a_program_whose_file_is_gone(launch, build, tmp_path, kind, how):
    if not (build / "tests" / kind).exists():
        pytest.skip(f"no {kind} in this build")
    path = tmp_path / "copy"
    shutil.copy2(build / "tests" / kind, path)
    main = launch(kind=kind, path=path, env={"LD_LIBRARY_PATH": str(build / "src")})
    path.unlink()
    if how == "replaced":
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    assert main.state()["builder"] == main.zygote()
    os.kill(main.zygote(), signal.SIGKILL)
    assert main.call(":exit_with", 4).code() == 4


# ---- what the program does before the call ----


@pytest.mark.parametrize("kind", KINDS)
def test_s05_the_programs_own_fork_handlers(launch, kind):
    """They were registered before the library's, so in each fork they run after it: under its syscall dispatch."""
    main = launch(kind=kind, mode="handlers")
    for _ in range(3):
        assert main.output(":handlers") == "1 1 0"  # ran here, and the lock is free
    log = main.log()
    assert log.count("prepare") >= 3 and log.count("child") >= 3


def test_s05_a_signal_handler_that_runs_in_the_first_fork(launch):
    """One is raised by a fork handler of the program's, under the library's syscall dispatch."""
    main = launch(mode="signals")
    assert main.call(":exit_with", 5).code() == 5


def test_s05_arguments_that_were_permuted_before_the_call(launch):
    main = launch("a", "b", mode="permute")
    assert main.call(":exit_with", 0).code() == 0
    first, second = (line.split(" ", 1)[1] for line in main.log())
    assert first == second and " a b " in first


def test_s05_what_is_to_run_at_exit_does_not_in_the_zygote(launch):
    """It may clean up after the program itself, which runs."""
    main = launch(mode="atexit", preload=["__main__", "/nonexistent.so"])
    assert refused(main.call, ":state").stage == "preload"
    main.end()
    assert [line for line in main.log() if "atexit" in line] == [f"atexit {main.process.pid}"]
    main.may_die = True


def test_s05_the_zygote_ends_with_its_server(launch):
    main = launch()
    pids = {main.state()["builder"], *main.standbys()}
    os.kill(main.server(), signal.SIGKILL)
    assert eventually(lambda: {state(pid) for pid in pids} == {"gone"})
    assert main.state()["builder"] not in pids


@pytest.mark.parametrize(
    "mode, errno, words",
    [
        ("exit_in_zygote", "EIO", "exited with 3"),
        ("crash_in_zygote", "EIO", "killed by SIGABRT"),
        ("fork_in_zygote", "EIO", "exited with 0"),
        ("close_in_zygote", "EIO", "exited with 7"),
    ],
)
def test_s05_a_program_that_does_not_get_to_the_call(launch, mode, errno, words, tmp_path):
    with open(tmp_path / "err", "w+", encoding="utf-8") as err:
        main = launch(mode=mode, stderr=err)
        failure = refused(main.call, ":state")
        assert (failure.stage, failure.errno) == ("preload", errno)
        assert words in failure.text and "program, before fsrv_zygote_enter()" in failure.text
        said = eventually(lambda: err.seek(0) or err.read() or mode in ("exit_in_zygote", "crash_in_zygote"))
    if mode == "fork_in_zygote":
        assert "has forked before fsrv_zygote_enter()" in said
    if mode == "close_in_zygote":
        assert "fd 3" in said and "was closed before fsrv_zygote_enter()" in said


def test_s05_a_program_that_hangs_before_the_call(launch):
    main = launch(mode="hang_in_zygote", preload=None)
    main.new(preload=["__main__"], preload_timeout=300)
    failure = refused(main.call, ":state")
    assert (failure.stage, failure.errno) == ("preload", "ETIMEDOUT") and "before fsrv_zygote_enter()" in failure.text


def test_s05_a_helper_of_the_code_before_the_call_is_no_zygote(launch):
    main = launch(mode="helper")
    assert main.call(":exit_with", 0).code() == 0
    assert main.log().count("ordinary") == 2  # one of the program, one of its zygote, which had fd 3


def test_s05_a_spawn_before_the_call(launch):
    main = launch(mode="early")
    assert main.call(":exit_with", 0).code() == 0
    early = [line for line in main.log() if line.startswith("early")]
    assert len(early) == 2
    for line in early:
        assert line.startswith("early EINVAL argument") and "fsrv_zygote_enter" in line


# ---- the example ----


class Server:
    """examples/prefork-server.c"""

    def __init__(self, build, err):
        self.err = err
        command = [build / "examples" / "prefork-server", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
        self.port = int(self.process.stdout.readline())

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)

    def ask(self, connection, text):
        connection.sendall(text.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n") and (more := connection.recv(4096)):
            answer += more
        return answer.decode()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(LIMIT)
        self.process.stdout.close()
        self.err.seek(0)
        return code, self.err.read()


def checked(text):
    line = text + "\n"
    return f"{zlib.crc32(line.encode()):08x} {line}"


@pytest.fixture
def server(build, tmp_path):
    with open(tmp_path / "stderr", "w+", encoding="utf-8") as err:
        server = Server(build, err)
        yield server
        if server.process.poll() is None:
            server.end()


def test_s05_example_serves_hundreds_of_connections(server, sanitized):
    for i in range(100 if sanitized else 400):
        with server.connect() as connection:
            assert server.ask(connection, f"line {i}") == checked(f"line {i}")
    connections = [server.connect() for _ in range(60)]
    for turn in range(3):
        for i, connection in enumerate(connections):
            assert server.ask(connection, f"{turn} {i}") == checked(f"{turn} {i}")
    for connection in connections:
        connection.close()
    assert server.end() == (0, "")


def test_s05_example_survives_a_crash(server, tmp_path):
    with server.connect() as other, server.connect() as crashing:
        assert server.ask(other, "before") == checked("before")
        assert server.ask(crashing, "crash") == ""
        assert server.ask(other, "after") == checked("after")
        with server.connect() as third:
            assert server.ask(third, "third") == checked("third")
    assert eventually(lambda: "Aborted" in (tmp_path / "stderr").read_text())  # a core dump may take its time
    code, said = server.end(signal.SIGINT)
    assert code == 0 and said.count("Aborted") == 1 and said.count("\n") == 1


def test_s05_example_cuts_off_connections_that_stay(server):
    with server.connect() as connection:
        assert server.ask(connection, "x") == checked("x")
        code, said = server.end()
        assert code == 0 and "some of 1 connections were cut off" in said
        assert connection.recv(1) == b""


# ---- bad input ----


def test_s05_an_entry_point_that_there_is_not(launch):
    main = launch()
    failure = refused(main.call, ":no_such")
    assert (failure.stage, failure.errno) == ("entry", "ENOENT")
    assert "'no_such'" in failure.text and "state, echo, exit_with" in failure.text
    assert refused(main.call, ":" + "x" * 3000).errno == "ENOENT"
    assert main.call(":exit_with", 2).code() == 2


def test_s05_entry_point_of_a_zygote_without_a_table(spawner):
    failure = refused(spawner.call, ":state")
    assert (failure.stage, failure.errno) == ("entry", "ENOENT") and "no program" in failure.text
    with pytest.raises(Failure) as bad:
        spawner("set", "entry", ":")
    assert bad.value.errno == "EINVAL"


def test_s05_a_second_call(launch):
    main = launch(mode="twice")
    assert main.call(":exit_with", 0).code() == 0
    assert main.log().count("twice EALREADY") == 1  # the zygote doesn't return from the first
    assert os.strerror(main.call(":again").code()) == os.strerror(114)


def test_s05_bad_arguments_of_the_call(launch):
    launch(mode="bad", preload=None)


def test_s05_arguments_that_are_too_many(launch):
    main = launch("x" * 70000)
    failure = refused(main.call, ":state")
    assert (failure.stage, failure.errno) == ("argument", "E2BIG") and "arguments" in failure.text
