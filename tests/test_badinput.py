# SPDX-License-Identifier: MIT
"""Bad input: each a clear error naming stage and cause, at the caller, in bounded time; the server serves on."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from conftest import MISSING
from spawner import STANDBYS, Failure, children, eventually, state, title
from test_spawn import refused


def serves(spawner, testmod):
    return spawner.call(f"{testmod}:exit_with", 42).code() == 42


def serves_or_cannot_fork(spawner, testmod, errno="EAGAIN"):
    """Nothing else may go wrong while a shortage ends."""
    try:
        return serves(spawner, testmod)
    except Failure as failure:
        assert (failure.errno, failure.stage) == (errno, "fork")
        return False


# ---- modules in the preload list ----


BAD_MODULES = [
    ("no_such_module", "ENOENT", "no_such_module.so"),
    ("not_a_module", "ELIBBAD", "not_a_module.so"),
    ("preload_fails", "EIO", "preload_fails.so"),
    ("preload_minus", "EIO", "returned -1"),
    ("crash_on_load", "EIO", "SIGSEGV"),
    ("exit_on_load", "EIO", "exited with 7"),
]
FATAL = ("crash_on_load", "exit_on_load")


@pytest.mark.parametrize("name, error, text", BAD_MODULES)
def test_bad_module_fails_every_spawn(start, module, testmod, name, error, text):
    spawner = start(stderr=subprocess.DEVNULL)
    spawner.new(preload=[testmod, module(name)], policy="fail")
    for target in ({"entry": f"{testmod}:exit_with"}, {"program": "true"}, {"entry": f"{testmod}:exit_with"}):
        failure = refused(spawner.spawn, **target)
        assert (failure.errno, failure.stage) == (error, "preload")
        assert name in failure.text and text in failure.text
    spawner("set_preload", 1, testmod)
    assert serves(spawner, testmod)


@pytest.mark.parametrize("policy", ["warn", "ignore"])
@pytest.mark.parametrize("name, error, text", BAD_MODULES)
def test_bad_module_is_passed_over(start, module, testmod, tmp_path, policy, name, error, text):
    with open(tmp_path / "log", "w+") as log:
        spawner = start(stderr=log)
        spawner.new(preload=[module(name), testmod], policy=policy)
        if name in FATAL:  # under any policy
            assert refused(spawner.spawn, program="true").stage == "preload"
        else:
            assert serves(spawner, testmod)
        log.seek(0)
        lines = log.read().splitlines()
        if policy == "warn" and name not in FATAL:
            assert len(lines) == 1 and name in lines[0] and text in lines[0]
        else:
            assert lines == []


def test_module_that_hangs(start, module, testmod):
    spawner = start()
    spawner.new(preload=[testmod, module("hang_on_load")], preload_timeout=200)
    failure = refused(spawner.spawn, program="true")
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "preload") and "hang_on_load" in failure.text
    failure = refused(spawner.spawn, program="true")
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "preload")
    spawner("set_preload", 1)
    assert serves(spawner, testmod)


def test_spawn_timeout_while_a_module_loads(start, module):
    spawner = start()
    # Not the default: the request that waits in the doorbell holds it open, so that the server stays as long
    spawner.new(preload=[module("hang_on_load")], preload_timeout=1000)
    spawner("ensure")
    failure = refused(spawner.spawn, program="true", spawn_timeout=50)
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "queue")


def test_module_that_gets_better(start, tmp_path, testmod):
    """A failed start is tried again when somebody asks, after a pause."""
    path = tmp_path / "module.so"
    spawner = start()
    spawner.new(preload=[path])
    assert refused(spawner.spawn, program="true").errno == "ENOENT"
    shutil.copy(testmod, path)

    def works():
        try:
            return spawner.spawn(program="true").code() == 0
        except Failure as failure:
            assert failure.stage == "preload"

    assert eventually(works)


def test_module_that_starts_a_thread(start, module, testmod):
    spawner = start()
    spawner.new(preload=[module("thread_on_load"), testmod])
    assert serves(spawner, testmod)


def test_client_that_crashes_its_zygote_disturbs_no_other(start, module, testmod):
    bad, good = start(stderr=subprocess.DEVNULL), start()
    bad.new(preload=[module("crash_on_load")])
    good.new(preload=[testmod])
    for _ in range(3):
        assert refused(bad.spawn, program="true").stage == "preload"
        assert serves(good, testmod)


# ---- entry points and programs ----


@pytest.mark.parametrize("text", ["", ":", "module:", "nocolon"])
def test_malformed_entry(spawner, text):
    assert refused(spawner.request, entry=text).errno == "EINVAL"


def test_bad_entry(spawner, module, testmod):
    for entry, error, words in (
        ("/no/such/module.so:main", "ENOENT", "/no/such/module.so"),
        (f"{module('not_a_module')}:main", "ELIBBAD", "not_a_module.so"),
        (f"{testmod}:no_such_function", "ENOENT", "no_such_function"),
        ("/usr:main", "EIO", "/usr"),
        (f"{shutil.which('env')}:main", "EIO", "is a program; a module is a shared object"),
    ):
        failure = refused(spawner.spawn, entry=entry)
        assert (failure.errno, failure.stage) == (error, "entry") and words in failure.text
        assert failure.pid and failure.pid > 0
        assert serves(spawner, testmod)


def load(spawner, way, path, **request):
    """A process that has to load the module; `way` is a call that makes one."""
    spawner.request(entry=f"{path}:main", **request)
    return refused(spawner, way)


@pytest.mark.parametrize("way", ["spawn", "run"])
@pytest.mark.parametrize("name, how", [("crash_on_load", "was killed by SIGSEGV"), ("exit_on_load", "called exit(7)")])
def test_module_that_kills_the_worker_during_loading(start, module, testmod, name, how, way):
    """Not preloaded: so it takes but the new process with it. It is loaded once: what it does it does once."""
    spawner = start(stderr=subprocess.DEVNULL)
    spawner.new(preload=[testmod])
    failure = load(spawner, way, module(name))
    assert (failure.errno, failure.stage) == ("EIO", "entry")
    assert failure.text == f"the module '{module(name)}' {how} while it was being loaded"
    assert failure.pid > 0
    assert serves(spawner, testmod)
    stats = spawner.stats()
    assert stats["zygote_starts"] == 1 and stats["claims"] == 2


@pytest.mark.parametrize("way", ["spawn", "run"])
@pytest.mark.parametrize("limit, words", [("spawn_timeout", "spawn time-out of 100 ms"),
                                          ("time_limit", "time limit of 100 ms")])
def test_module_that_hangs_the_worker_during_loading(spawner, module, testmod, limit, words, way):
    path = module("hang_on_load")
    assert (spawner("ensure"), spawner.zygote())[1]
    failure = load(spawner, way, path, **{limit: 100})
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "entry")
    assert failure.text == f"the module '{path}' was still loading when the {words} ended"
    assert serves(spawner, testmod)
    assert spawner.stats()["claims"] == 2
    # Its client gave up: it must not stay for ever.
    assert eventually(lambda: spawner.stats()["workers"] == 0), "the worker hangs on"


def test_client_that_is_killed_while_a_module_hangs(spawner, module):
    """No client is left to end the process, so it ends by itself, with the client's time-out."""
    spawner("ensure")
    server = spawner.server()
    assert spawner.zygote()
    spawner.request(entry=f"{module('hang_on_load')}:main", spawn_timeout=1000)
    spawner.ask("spawn")

    def loading():
        return [pid for pid in children(server) if "hang_on_load" in title(pid)]
    assert eventually(loading)
    [worker] = loading()
    spawner.die()
    assert eventually(lambda: state(worker) == "gone"), "the worker hangs on"


def test_request_without_a_target(spawner):
    failure = refused(spawner.spawn, umask=0)
    assert (failure.errno, failure.stage) == ("EINVAL", "argument")


def test_bad_program(spawner, testmod, tmp_path):
    (tmp_path / "text").write_text("#!/bin/sh\n")
    (tmp_path / "torn").write_bytes(b"\x7fELF")
    (tmp_path / "torn").chmod(0o755)
    (tmp_path / "lost").write_text("#!/no/such/interpreter\n")
    (tmp_path / "lost").chmod(0o755)
    for path, error in (
        ("/no/such/program", "ENOENT"),
        ("no-such-program-anywhere", "ENOENT"),
        (tmp_path / "text", "EACCES"),
        (tmp_path, "EACCES"),
        (tmp_path / "torn", "ENOEXEC"),
        (tmp_path / "lost", "ENOENT"),
        ("/dev/null/x", "ENOTDIR"),
    ):
        failure = refused(spawner.spawn, program=path)
        assert (failure.errno, failure.stage) == (error, "exec") and str(path) in failure.text
        assert serves(spawner, testmod)


def test_argument_that_is_too_long(spawner, testmod):
    failure = refused(spawner.spawn, program="true", argv=["true", "x" * (1 << 18)])
    assert (failure.errno, failure.stage) == ("E2BIG", "exec")
    assert serves(spawner, testmod)


def test_empty_arguments(spawner):
    assert refused(spawner.request, program="true", argv=[]).errno == "EINVAL"
    assert refused(spawner.request, program="").errno == "EINVAL"


def test_bad_directory(spawner, testmod, tmp_path):
    (tmp_path / "file").touch()
    for path, error in (("/no/such/directory", "ENOENT"), (tmp_path / "file", "ENOTDIR"), ("relative", "ENOENT")):
        for target in ({"entry": f"{testmod}:exit_with"}, {"program": "true"}):
            failure = refused(spawner.spawn, directory=path, **target)
            assert (failure.errno, failure.stage) == (error, "directory") and str(path) in failure.text
    assert serves(spawner, testmod)


def test_bad_flags(spawner):
    assert refused(spawner.request, program="true", flags=1 << 20).errno == "EINVAL"
    assert refused(spawner.request, program="true", group=-5).errno == "EINVAL"


# ---- servers ----


def test_bad_options(start):
    for name, value in (("policy", 3), ("standbys", 65), ("preload_timeout", -1), ("flags", 8), ("size", 8)):
        failure = refused(start(), "new", name, value)
        assert (failure.errno, failure.stage) == ("EINVAL", "argument"), name
    assert refused(start(), "new", "preload", "").errno == "EINVAL"
    assert refused(start(), "new", "preload", *["/x" * 1000] * 40).errno == "E2BIG"


def test_no_server_program(start, tmp_path):
    spawner = start()
    spawner.new(helpers=tmp_path)
    for call in (lambda: spawner("ensure"), lambda: spawner.spawn(program="true")):
        failure = refused(call)
        assert (failure.errno, failure.stage) == ("ENOENT", "start") and str(tmp_path) in failure.text


def test_no_zygote_program(start, build, tmp_path):
    shutil.copy(build / "src" / "forkserver-server", tmp_path)
    spawner = start()
    spawner.new(helpers=tmp_path)
    for _ in range(2):
        failure = refused(spawner.spawn, program="true")
        assert (failure.errno, failure.stage) == ("ENOENT", "start") and "forkserver-zygote" in failure.text


def test_server_program_that_is_none(start, tmp_path):
    for script, words in (("exit 0", "forkserver-server"), ("exec 3>&- 4>&-; exit 3", "forkserver-server")):
        program = tmp_path / "forkserver-server"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        spawner = start()
        spawner.new(helpers=tmp_path)
        failure = refused(spawner.spawn, program="true")
        assert failure.stage == "start" and words in failure.text


@pytest.mark.parametrize("length", [108, 200, 5000])
def test_socket_path_that_is_too_long(start, length):
    failure = refused(start(), "connect", "/tmp/" + "x" * (length - 5))
    assert (failure.errno, failure.stage) == ("ENAMETOOLONG", "connect")


def test_socket_path_where_nobody_listens(start, tmp_path):
    failure = refused(start(), "connect", tmp_path / "nothing")
    assert (failure.errno, failure.stage) == ("ENOENT", "connect") and str(tmp_path / "nothing") in failure.text
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "dead"))
    failure = refused(start(), "connect", tmp_path / "dead")
    assert (failure.errno, failure.stage) == ("ECONNREFUSED", "connect")


class Impostor:
    """Listens, and answers the first message with given bytes; with none it closes."""

    def __init__(self, path, reply):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen()
        self.reply = reply

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            if self.reply is not None:
                connection.recv(65536)
                connection.send(self.reply)
            self.listener.close()


def refused_by(impostor, spawner, directory):
    spawner.ask("connect", directory / "socket")
    impostor.serve()
    return refused(spawner.answer, "connect")


@pytest.mark.parametrize("reply", [b"HTTP/1.0 400", b"x" * 272, None])
def test_something_else_listens(start, tmp_path, reply):
    failure = refused_by(Impostor(tmp_path / "socket", reply), start(), tmp_path)
    assert failure.stage and failure.errno in ("EPROTO", "ECONNRESET")


def test_a_server_of_another_version_or_without_a_doorbell(start, tmp_path, layout):
    for version, errno, stage, text in (
        (0x46530099, "EPROTONOSUPPORT", "version", "speaks protocol 0x46530099"),
        (layout["version"], "EPROTO", "connect", "came without its doorbell"),
    ):
        reply = struct.pack("=IiIi256s", version, 0, 0, 0, b"")
        failure = refused_by(Impostor(tmp_path / "socket", reply), start(), tmp_path)
        assert (failure.errno, failure.stage) == (errno, stage) and text in failure.text
        (tmp_path / "socket").unlink()


def test_server_of_another_uid(start, tmp_path):
    impostor, spawner = Impostor(tmp_path / "socket", b""), start()
    failure = refused(spawner, "connect", tmp_path / "socket", 12345)
    assert (failure.errno, failure.stage) == ("EPERM", "credentials")
    impostor.listener.close()


# ---- the doorbell ----


def serves_and_forgets(spawner, testmod):
    """Leaves no handle behind, on whose socket the garbage would be thrown, too."""
    process = spawner.call(f"{testmod}:exit_with", 42)
    assert process.code() == 42
    process.unref()
    return True


def test_garbage(spawner, testmod, layout):
    assert serves_and_forgets(spawner, testmod)
    pids = [spawner.server(), spawner.zygote()]
    for _ in range(10):
        # the doorbell, and the server's own connection
        assert 1 <= spawner("garbage", 40, layout["version"])["result"] <= 2
        assert serves_and_forgets(spawner, testmod)
    # By ps, as that connection may have been closed upon the garbage
    assert [title(pid).split()[1] for pid in pids] == ["server", "zygote"]
    assert eventually(lambda: [title(pid) for pid in children(pids[0])].count("forkserver: standby") == STANDBYS)


def test_garbage_while_nobody_is_ready(start, module, testmod, layout):
    """Then the server itself takes what comes."""
    spawner = start(stderr=subprocess.DEVNULL)
    spawner.new(preload=[module("crash_on_load")])
    for _ in range(5):
        assert refused(spawner.spawn, program="true").stage == "preload"
        spawner("garbage", 40, layout["version"])
    assert refused(spawner.spawn, program="true").stage == "preload"


def test_client_that_gave_up_its_privileges(start, testmod):
    """It still holds the doorbell: not to have programs run with the privileges that it gave up."""
    if os.geteuid() != 0:
        pytest.skip("only root has privileges to give up")
    spawner = start()
    spawner.new(preload=[testmod])
    assert spawner.call(f"{testmod}:exit_with", 3).code() == 3
    spawner("setuid", 54323)
    failure = refused(spawner.call, f"{testmod}:exit_with", 3)
    assert (failure.errno, failure.stage) == ("EPERM", "credentials") and "54323" in failure.text


# ---- forks that fail ----


def test_fork_that_fails(start, testmod, new_uid):
    """RLIMIT_NPROC counts all processes of a uid."""
    spawner = start()
    spawner("setuid", new_uid())
    spawner("limit", "nproc", 8, 8)
    spawner.new(preload=[testmod], standbys=1)
    processes, failure = [], None
    while not failure and len(processes) < 20:
        try:
            processes.append(spawner.call(f"{testmod}:hang", spawn_timeout=20000))
        except Failure as error:
            failure = error
    assert failure and (failure.errno, failure.stage) == ("EAGAIN", "fork"), failure
    assert 1 <= len(processes) < 8
    again = refused(spawner.call, f"{testmod}:hang", spawn_timeout=20000)
    assert (again.errno, again.stage) == ("EAGAIN", "fork")
    for process in processes:
        process.kill()
        assert process.code() == -signal.SIGKILL

    assert eventually(lambda: serves_or_cannot_fork(spawner, testmod))


@pytest.mark.parametrize("content, how", [("", "SIGABRT"), ("0", "exited with 0"), ("3", "exited with 3")])
def test_fork_handler_that_ends_each_child(start, module, tmp_path, content, how):
    """Nothing is served, and nothing waits, or forks as fast as it can; later all is as it was."""
    (tmp_path / "fails").write_text(content)
    spawner = start(env={**os.environ, "ATFORK_FAILS": str(tmp_path / "fails")})
    spawner.new(preload=[module("atfork")])
    report = f"{module('atfork')}:report"
    for _ in range(200):
        failure = refused(spawner.call, report, spawn_timeout=20000)
        assert (failure.errno, failure.stage) == ("EIO", "fork")
        assert how in failure.text and "fork handler" in failure.text
    assert len((tmp_path / "fails").read_text().splitlines()) < 50
    (tmp_path / "fails").unlink()
    assert eventually(lambda: serves_or_cannot_fork(spawner, module("testmod"), "EIO"))
    assert spawner.output(report) == "1 1\n"


@pytest.mark.skipif("sud" not in MISSING, reason="only a process that is forked twice is a child's child")
def test_fork_handler_that_ends_each_childs_child(start, module, tmp_path):
    (tmp_path / "fails").write_text("3")
    spawner = start(env={**os.environ, "ATFORK_FAILS": str(tmp_path / "fails"), "ATFORK_SPARES": "1"})
    spawner.new(preload=[module("atfork")])
    report = f"{module('atfork')}:report"
    for _ in range(200):
        failure = refused(spawner.call, report, spawn_timeout=20000)
        assert (failure.errno, failure.stage) == ("EIO", "fork")
        assert "exited with 3" in failure.text and "fork handler" in failure.text
    assert len((tmp_path / "fails").read_text().splitlines()) < 50


def start_hanging(start, module, tmp_path, handler):
    (tmp_path / "fails").write_text("")
    spawner = start(env={**os.environ, "ATFORK_FAILS": str(tmp_path / "fails"), "ATFORK_HANGS": handler})
    spawner.new(preload=[module("atfork")], preload_timeout=1000)
    return spawner


@pytest.mark.parametrize("handler", ["prepare", "parent", "child"])
def test_fork_handler_that_hangs(start, module, tmp_path, handler):
    """As on a lock that a thread held: its process is ended, the caller hears of it, and later all is as it was."""
    spawner = start_hanging(start, module, tmp_path, handler)
    report = f"{module('atfork')}:report"
    failure = None
    for _ in range(20):  # a standby that was forked by a zygote which hangs then serves
        try:
            spawner.output(report, spawn_timeout=60000)
        except Failure as error:
            failure = error
            break
    assert failure and (failure.errno, failure.stage) == ("ETIMEDOUT", "fork"), failure
    assert "fork handler" in failure.text and "hang" in failure.text
    (tmp_path / "fails").unlink()
    assert eventually(lambda: serves_or_cannot_fork(spawner, module("testmod"), "ETIMEDOUT"))
    assert spawner.output(report) == "1 1\n"


def test_server_that_dies_while_its_standbys_hang(start, module, tmp_path):
    """They end with it, and the request on the doorbell with them; the client's next server is the same, and says
    so."""
    spawner = start_hanging(start, module, tmp_path, "child")
    spawner("ensure")
    server, zygote = spawner.server(), spawner.stats()["zygote_pid"]
    # A process that is forked twice hangs between the two forks.
    assert eventually(lambda: children(zygote) if "sud" in MISSING else len(children(server)) > STANDBYS)
    hung = {*children(server), *children(zygote)}
    os.kill(server, signal.SIGKILL)
    failure = refused(spawner.call, f"{module('atfork')}:report", spawn_timeout=60000)
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "fork")
    assert eventually(lambda: not any(state(pid) != "gone" for pid in hung))


def test_standby_that_is_ready_has_no_limit(start, testmod):
    spawner = start()
    spawner.new(preload=[testmod], preload_timeout=1000)
    spawner("ensure")
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
    standbys = spawner.standbys()
    time.sleep(2.2)
    assert spawner.standbys() == standbys


def test_zygote_that_was_stopped_with_its_server(start, testmod):
    """Its answer is there when the server goes on: it is not late."""
    spawner = start()
    spawner.new(preload=[testmod], preload_timeout=1000)
    spawner("ensure")
    zygote, server = spawner.zygote(), spawner.server()
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
    os.kill(zygote, signal.SIGSTOP)
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5  # the server owes a fork now
    os.kill(server, signal.SIGSTOP)
    os.kill(zygote, signal.SIGCONT)
    time.sleep(2)
    os.kill(server, signal.SIGCONT)
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
    assert spawner.zygote() == zygote


def processes_that_know(word):
    """Those in whose environment it is."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                found += [pid] if os.fsencode(word) in file.read() else []
        except OSError:
            pass
    return found


def test_fork_handler_that_hangs_beside_a_thread(start, module, tmp_path):
    """The zygote forks while it loads, to see whether the thread stays."""
    (tmp_path / "fails").write_text("")
    spawner = start(env={**os.environ, "ATFORK_FAILS": str(tmp_path / "fails"), "ATFORK_HANGS": "child"})
    spawner.new(preload=[module("atfork"), module("thread_on_load")], preload_timeout=1000, threads=2)
    failure = refused(spawner.call, f"{module('atfork')}:report", spawn_timeout=60000)
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "fork")
    spawner.die()
    assert eventually(lambda: not processes_that_know(tmp_path))


@pytest.mark.parametrize("handler", ["prepare", "child"])
def test_client_that_dies_while_its_standbys_hang(start, module, tmp_path, handler):
    """The request that it gave up is still on the doorbell, and holds it."""
    spawner = start_hanging(start, module, tmp_path, handler)
    spawner("ensure")
    server = spawner.server()
    assert refused(spawner.call, f"{module('atfork')}:report", spawn_timeout=100).errno == "ETIMEDOUT"
    spawner.die()
    assert eventually(lambda: state(server) == "gone")


def test_standbys_that_are_killed_on_and_on(start, module, tmp_path):
    """As where memory is short: for some seconds they are forked again, then the caller hears of it."""
    (tmp_path / "fails").write_text("-9")
    spawner = start(env={**os.environ, "ATFORK_FAILS": str(tmp_path / "fails")})
    spawner.new(preload=[module("atfork")])
    failure = refused(spawner.call, f"{module('atfork')}:report", spawn_timeout=60000)
    assert (failure.errno, failure.stage) == ("EIO", "fork")
    assert "SIGKILL" in failure.text and "memory" in failure.text
    (tmp_path / "fails").unlink()
    assert eventually(lambda: serves_or_cannot_fork(spawner, module("testmod"), "EIO"))


def test_fork_handler_that_ends_some_children(start, module, tmp_path):
    """Standbys that were forked before it serve on."""
    spawner = start(env={**os.environ, "ATFORK_FAILS": str(tmp_path / "fails")})
    spawner.new(preload=[module("atfork")])
    report = f"{module('atfork')}:report"
    assert spawner.output(report) == "1 1\n"
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
    (tmp_path / "fails").write_text("")
    for _ in range(STANDBYS):
        assert spawner.output(report) == "1 1\n"
    assert refused(spawner.call, report, spawn_timeout=20000).stage == "fork"


def test_client_that_dies_while_its_standbys_end(start, module, tmp_path):
    """Its server ends too: else one that forks for ever would stay behind."""
    (tmp_path / "fails").write_text("")
    spawner = start(env={**os.environ, "ATFORK_FAILS": str(tmp_path / "fails")})
    spawner.new(preload=[module("atfork")])
    refused(spawner.call, f"{module('atfork')}:report", spawn_timeout=20000)
    server = spawner.server()
    spawner.die()
    assert eventually(lambda: state(server) == "gone")


def test_zygote_that_cannot_be_forked(start, testmod, new_uid):
    spawner = start()
    spawner("setuid", new_uid())
    spawner("limit", "nproc", 2, 2)  # itself and the server
    spawner.new(preload=[testmod])
    for _ in range(2):
        failure = refused(spawner.spawn, program="true", spawn_timeout=20000)
        assert failure.errno == "EAGAIN" and failure.stage in ("start", "fork"), failure
        assert "fork" in failure.text or "clone" in failure.text or "start" in failure.text


def test_proc_that_is_not_there(start, build, testmod, sanitized):
    """Without /proc, as in a bare chroot: what needs it is named."""
    if sanitized:
        pytest.skip("sanitizers need /proc themselves")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare(1)")
    script = 'mount -t tmpfs none /proc && exec "$@"'
    if subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(build / "src")}  # $ORIGIN needs /proc, too
    spawner = start(before=["unshare", "-m", "sh", "-c", script, "sh"], env=environment)
    spawner.new(preload=[testmod])
    try:
        assert serves(spawner, testmod)
    except Failure as failure:
        assert failure.stage in ("argument", "start"), failure
