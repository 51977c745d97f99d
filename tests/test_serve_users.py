# SPDX-License-Identifier: MIT
"""A server of root's that others may use, and one that runs preloaded entry points alone."""

import os
import subprocess

import pytest

from conftest import NOBODY, as_user
from spawner import LIMIT
from test_request_attributes import Seen, Sight
from test_serve import open_directory, serve  # noqa: F401

OTHER = 23456


def with_groups(*command):
    """So that the server has a supplementary group."""
    return ["setpriv", "--groups=4321", *map(str, command)]


@pytest.fixture
def shared(other_user, serve, open_directory, module):  # noqa: F811
    """A root server that NOBODY and OTHER may use; options as words."""
    def start_server(*options):
        words = "--mode", "666", "--allow-uid", NOBODY, "--allow-uid", OTHER, "--preload", module("seen"), *options
        return serve(*words, path=open_directory / "socket", wrap=with_groups).wait_until_it_listens()

    return start_server


def run_as(uid, forkserver, server, *command, gid=None):
    words = as_user(uid, forkserver, command[0], "--socket", server.path, *command[1:])
    if gid is not None:
        words[2] = f"--regid={gid}"
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, cwd="/")


def whole(result):
    assert (result.returncode, result.stderr) == (0, ""), result
    return Seen(result.stdout)


def commands(module, program):
    return ("run", "--call", f"{module('seen')}:seen"), ("run", program("see"))


def test_each_runs_as_itself(shared, forkserver, module, program):
    server = shared()
    for command in commands(module, program):
        for uid, gid in (NOBODY, NOBODY), (OTHER, 34567):
            seen = whole(run_as(uid, forkserver, server, *command, gid=gid))
            assert seen.ids() == [[str(uid)] * 4, [str(gid)] * 4, []]
            sets = seen.capabilities()
            assert sets["Prm"] == sets["Eff"] == sets["Amb"] == 0
        assert whole(server.run(*command[1:])).ids()[0] == ["0"] * 4  # root's own


def test_nothing_of_roots_opens(shared, forkserver, module, program, tmp_path):
    server = shared()
    secret = tmp_path / "secret"
    secret.touch(0o600)
    for command in commands(module, program):
        assert run_as(NOBODY, forkserver, server, *command, "open", secret).stdout == "EACCES\n"
        assert run_as(NOBODY, forkserver, server, *command, "setuid", "0").stdout == "EPERM\n"
        assert server.run(*command[1:], "open", secret).stdout == "0\n"


def test_programs_are_undisturbed(shared, forkserver):
    """They can be signalled by the user, and dump core and open their own files, as any of the user's."""
    server = shared()
    result = run_as(NOBODY, forkserver, server, "run", "sh", "-c",
                    "cat /proc/self/coredump_filter; ls /proc/self/fd >/dev/null && readlink /proc/self/exe")
    with open("/proc/self/coredump_filter", encoding="ascii") as file:
        assert result.stdout == file.read() + os.path.realpath("/bin/readlink") + "\n"


def test_programs_leave_no_trace(shared, forkserver, module):
    """A user's program doesn't borrow a standby's memory, which its new ids would make undumpable for the next one."""
    server = shared()
    for _ in range(5):
        assert run_as(NOBODY, forkserver, server, "run", "true").returncode == 0
    for _ in range(6):
        assert whole(server.run("--call", f"{module('seen')}:seen"))["dumpable"] == "1"


def test_entry_points_are_not_dumpable(shared, forkserver, module):
    """The zygote's memory, which root has loaded, is not for the user's debugger."""
    server = shared()
    seen = whole(run_as(NOBODY, forkserver, server, "run", "--call", f"{module('seen')}:seen"))
    assert seen["dumpable"] != "1"


@pytest.mark.parametrize("kind", ["entry", "program"])
def test_attributes_raise_nothing(shared, start, kind, module, program):
    server = shared()
    spawner = start(as_user(NOBODY), cwd="/")
    spawner("connect", server.path, 0)
    sight = Sight(spawner, kind, module("seen"), program("see"))
    assert sight("nice=19", "oom=500", "no_new_privs").ids()[0] == [str(NOBODY)] * 4
    for words, text in {
        "uid=0": "uid 0: Operation not permitted",
        f"uid={OTHER}": f"uid {OTHER}: Operation not permitted",
        "gid=0": "gid 0: Operation not permitted",
        "groups=0": "the 1 supplementary groups: Operation not permitted",
        "permitted=1": "the capability chown: Operation not permitted",
        "ambient=1": "the capability chown: Operation not permitted",
        "nice=-1": "nice value -1: Permission denied",
        "oom=-1": "oom_score_adj -1: Permission denied",
        "scheduler=1 priority=1": "scheduler 1 with priority 1: Operation not permitted",
        "io_class=1": "I/O priority of class 1, level 0: Operation not permitted",
    }.items():
        assert sight.refused(*words.split()) == ("EPERM" if "not permitted" in text else "EACCES", "attributes", text)
    assert sight(f"uid={NOBODY}", f"gid={NOBODY}").ids()[1] == [str(NOBODY)] * 4
    if kind == "entry":  # of a program it is the program's own memory
        assert sight.refused("dumpable=1") == ("EPERM", "attributes", "dumpable 1: Operation not permitted")
        assert sight("dumpable=0")["dumpable"] == "0"


def test_files_are_opened_as_the_user(shared, start, module, program, tmp_path):
    server = shared()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    spawner = start(as_user(NOBODY), cwd="/")
    spawner("connect", server.path, 0)
    for kind in "entry", "program":
        sight = Sight(spawner, kind, module("seen"), program("see"))
        assert sight.refused(actions=[("open", 5, secret, os.O_RDONLY, 0)])[:2] == ("EACCES", "open")
        assert sight.refused(actions=[("open", 5, "/forkserver-test", os.O_WRONLY | os.O_CREAT, 0o600)])[:2] == (
            "EACCES", "open")


def test_in_a_sandbox(shared, forkserver, module):
    server = shared("--sandbox", "untrusted")
    entry = f"{module('seen')}:seen"
    assert whole(run_as(NOBODY, forkserver, server, "run", "--call", entry))["ids"] == f"{NOBODY} {NOBODY}"
    assert whole(server.run("--call", entry))["ids"] == "0 0"
    assert run_as(NOBODY, forkserver, server, "run", "--call", entry, "setuid", "0").stdout == "EPERM\n"


def test_as_server(shared, forkserver, module, program):
    server = shared("--as-server")
    for command in commands(module, program):
        assert whole(run_as(NOBODY, forkserver, server, *command)).ids()[0] == ["0"] * 4


def test_another_servers_user_stays(serve, open_directory, forkserver, other_user, module):  # noqa: F811
    """Only root can become another user."""
    path = open_directory / "socket"
    open_directory.chmod(0o777)
    server = serve("--mode", "666", "--allow-uid", OTHER, "--preload", module("seen"), path=path,
                   wrap=lambda *command: as_user(NOBODY, *command)).wait_until_it_listens("--server-uid", str(NOBODY))
    result = run_as(OTHER, forkserver, server, "run", "--server-uid", NOBODY, "--call", f"{module('seen')}:seen")
    assert whole(result).ids()[0] == [str(NOBODY)] * 4


# ---- preloaded entry points alone ----


def test_entries_only(serve, module, testmod, tmp_path):  # noqa: F811
    server = serve("--entries-only", "--preload", module("seen")).wait_until_it_listens()
    assert server.run("--call", f"{module('seen')}:seen").returncode == 0
    for words, sentence in {
        ("true",): "this fork server runs preloaded entry points alone, and no programs",
        ("--call", f"{testmod}:where"): f"entry point '{testmod}:where': this fork server runs preloaded ones alone",
        ("--call", "libc.so.6:fexecve"): "entry point 'libc.so.6:fexecve': this fork server runs preloaded ones alone",
    }.items():
        result = server.run(*words)
        assert (result.returncode, result.stdout) == (125, "")
        assert result.stderr == f"forkserver: {sentence} (stage credentials)\n"
    # a function of what the module is linked with
    result = server.run("--call", f"{module('seen')}:fexecve")
    assert result.returncode == 125 and "has no function 'fexecve'" in result.stderr
    assert server.stats()["failures"] == {"credentials": 2, "entry": 1}


def test_entries_only_by_any_name(forkserver, serve, module, monkeypatch):  # noqa: F811
    """The command's ways to call one: each name of the file that counts from the caller's directory."""
    directory, name = os.path.split(os.path.realpath(module("results")))
    monkeypatch.chdir(directory)
    server = serve("--entries-only", "--preload", f"./{name}").wait_until_it_listens()
    for path, place in ((f"./{name}", directory), (f"{directory}/{name}", "/"), (f"{directory[1:]}/{name}", "/")):
        result = subprocess.run([forkserver, "call", "--socket", server.path, f"{path}:echo"], input=b"x",
                                capture_output=True, cwd=place)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"x", b"")
    result = subprocess.run([forkserver, "call", "--socket", server.path, f"./{name}:echo"], input=b"x",
                            capture_output=True, cwd="/")
    assert result.returncode == 125 and b"this fork server runs preloaded ones alone" in result.stderr


def test_entries_only_opens_no_files(serve, start, module, program, tmp_path):  # noqa: F811
    server = serve("--entries-only", "--preload", module("seen")).wait_until_it_listens()
    spawner = start()
    spawner("connect", server.path)
    sight = Sight(spawner, "entry", module("seen"), program("see"))
    assert sight.refused(actions=[("open", 5, "/etc/passwd", os.O_RDONLY, 0)]) == (
        "EPERM", "credentials", "this fork server opens no files for its clients: pass an fd instead of '/etc/passwd'")
    assert sight(actions=[("dup2", 0, 5)])


def test_help(forkserver):
    text = subprocess.check_output([forkserver, "serve", "--help"], text=True)
    assert "run anything as" not in text and "--entries-only" in text and "--as-server" in text
