# SPDX-License-Identifier: MIT
"""Sandboxes: a zygote of its own for each, what its processes hold, and what the client hears of refused calls."""
import json
import os
import signal
import subprocess
import sys

import pytest

from conftest import DENY
from leftovers import PATIENCE
from siblings import landlock_abi
from spawner import LIMIT, Failure, children, eventually, state, title

STRICT, KILL, SPAWN, MDWE = 1, 2, 4, 8
REFUSED = 32  # of a status


@pytest.fixture
def locked(module):
    return module("locked")


@pytest.fixture
def spawner(start, locked):
    spawner = start()
    spawner.new(preload=[locked])
    return spawner


def run(spawner, locked, function, *arguments, sandbox=("untrusted", 0), **request):
    entry = f"{locked}:{function}"
    return spawner.run(entry=entry, argv=[entry, *arguments], sandbox=list(sandbox), **request)


def output(spawner, locked, function, *arguments, sandbox=("untrusted", 0)):
    entry = f"{locked}:{function}"
    return spawner.code_and_output(entry=entry, argv=[entry, *arguments], sandbox=list(sandbox))


def zygotes(spawner):
    """The pids of those in sandboxes, and for a moment of what they have just forked."""
    return [pid for pid in children(spawner.server()) if title(pid).startswith("forkserver: zygote in sandbox")]


def has_zygotes(spawner, n):
    return eventually(lambda: len(pids := zygotes(spawner)) == n and pids)


# ---- refused calls ----

def test_refused_calls_are_told(spawner, locked):
    for n in (3, 1, 0):
        status = run(spawner, locked, "sockets", n)
        assert (status.exit_code, status.refused[0]) == (n, n)
        assert n == 0 or status.refused == (n, "socket")
    status = run(spawner, locked, "sockets", 3, sandbox=("", 0))
    assert (status.exit_code, status.refused[0]) == (0, 0)


def test_calls_of_a_program(spawner):
    code = "import socket\ntry: socket.socket()\nexcept PermissionError: raise SystemExit(7)"
    status = spawner.run(program=sys.executable, argv=["python", "-S", "-c", code], sandbox=["no-network"])
    assert (status.exit_code, status.refused) == (7, (1, "socket"))


def test_calls_of_threads_and_children(spawner, locked):
    status = run(spawner, locked, "others_sockets")
    assert (status.exit_code, status.refused) == (2, (2, "socket"))


def test_refused_call_that_kills(spawner, locked):
    status = run(spawner, locked, "sockets", 3, sandbox=("untrusted", KILL))
    assert (status.signal, status.flags & REFUSED, status.refused) == (signal.SIGKILL, REFUSED, (1, "socket"))
    assert run(spawner, locked, "sockets", 0, sandbox=("untrusted", KILL)).exit_code == 0


def test_call_that_says_why(forkserver, locked):
    """By the command: the process that failed, and the call."""
    def command(*words):
        return subprocess.run([forkserver, "run", *words, "--preload", locked, "--call", f"{locked}:sockets", "2"],
                              capture_output=True, text=True, timeout=LIMIT)
    result = command("--sandbox", "untrusted")
    assert (result.returncode, result.stderr) == (
        2, f"forkserver: the sandbox of {locked}:sockets has refused socket, and more\n")
    result = command("--sandbox", "untrusted,kill")
    assert (result.returncode, result.stderr) == (
        -9, f"forkserver: {locked}:sockets was killed by its sandbox, which refuses the system call socket\n")


# ---- no way out by the machinery ----

def test_process_holds_no_way_out(spawner, locked):
    assert output(spawner, locked, "ways_out", sandbox=("", 0)) == (0, "lifeline 0, spawn 0: ")
    assert output(spawner, locked, "ways_out") == (
        0, "lifeline 1, spawn 1: a process in a sandbox may not spawn")


def test_process_that_may_spawn(spawner, locked):
    """What it spawns is in the same sandbox, and in no other one."""
    assert run(spawner, locked, "spawn_again", locked, sandbox=("", 0)).exit_code == 0
    assert run(spawner, locked, "spawn_again", locked).exit_code == 99
    assert run(spawner, locked, "spawn_again", locked, sandbox=("untrusted", SPAWN)).exit_code == 1
    code, text = output(spawner, locked, "spawn_again", locked, "none", sandbox=("untrusted", SPAWN))
    assert code == 100 and text.startswith("the sandbox cannot be had: this process, or the whole fork server, is in")


def test_file_actions_are_in_it(spawner, locked, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    request = dict(entry=f"{locked}:sockets", actions=[("open", 5, str(path), os.O_RDONLY, 0)])
    assert spawner.run(sandbox=[""], **request).exit_code == 0
    with pytest.raises(Failure) as caught:
        spawner.run(sandbox=["untrusted"], **request)
    assert (caught.value.errno, caught.value.stage) == ("EACCES", "open")


def test_code_that_locks_itself_in_later(spawner, locked):
    assert output(spawner, locked, "lock_later", "untrusted", sandbox=("", 0)) == (
        0, "before 1, after Permission denied")
    assert output(spawner, locked, "lock_later", "none", sandbox=("", 0)) == (0, "before 1, after open")


# ---- zygotes ----

def test_equal_sandboxes_share_a_zygote(spawner, locked):
    for _ in range(3):
        assert run(spawner, locked, "sockets", 1).exit_code == 1
        assert has_zygotes(spawner, 1)
    assert run(spawner, locked, "sockets", 1, sandbox=("no-network", 0)).exit_code == 1
    assert has_zygotes(spawner, 2)
    assert spawner.run(program="true", sandbox=["no-network"]).exit_code == 0  # it refuses no exec: the same
    assert has_zygotes(spawner, 2)
    assert spawner.run(program="true", sandbox=["untrusted"]).exit_code == 0
    assert has_zygotes(spawner, 3)


def test_many_sandboxes(spawner, locked):
    """The one that was not used for the longest time makes room, and can be had again."""
    kinds = [(profile, flags) for flags in range(0, 16, 2)
             for profile in ("none", "no-exec", "no-network", "untrusted", "pure-compute")]
    for kind in [*kinds, kinds[0]]:
        assert run(spawner, locked, "sockets", 0, sandbox=kind).exit_code == 0
    assert has_zygotes(spawner, 32)


def test_death_of_the_zygote(spawner, locked):
    """Its workers go on, and are told of; the next one is forked."""
    process = spawner.spawn(program="sleep", argv=["sleep", "1000"], sandbox=["untrusted"])
    [old] = has_zygotes(spawner, 1)
    os.kill(old, signal.SIGKILL)
    assert spawner.run(program="true", sandbox=["untrusted"]).exit_code == 0
    assert eventually(lambda: zygotes(spawner) not in ([], [old]))
    process.kill(signal.SIGTERM)
    assert process.code() == -signal.SIGTERM


def test_death_of_the_first_zygote(spawner, locked):
    assert run(spawner, locked, "sockets", 1).exit_code == 1
    old = spawner.zygote()
    os.kill(old, signal.SIGKILL)
    assert run(spawner, locked, "sockets", 1).exit_code == 1
    assert run(spawner, locked, "sockets", 1, sandbox=("no-network", 0)).exit_code == 1
    assert spawner.zygote() != old and has_zygotes(spawner, 2)


def test_filter_outlives_its_zygote(spawner, locked):
    """Standbys of a zygote that has died are told of as before."""
    assert run(spawner, locked, "sockets", 1).exit_code == 1
    for _ in range(20):
        for pid in zygotes(spawner):
            os.kill(pid, signal.SIGKILL)
        status = run(spawner, locked, "sockets", 2)
        assert (status.exit_code, status.refused) == (2, (2, "socket"))


def test_death_of_the_server(spawner, locked):
    assert run(spawner, locked, "sockets", 1).exit_code == 1
    server = spawner.server()
    standbys = spawner.standbys()
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: all(state(pid) == "gone" for pid in [server, *standbys]))
    assert run(spawner, locked, "sockets", 1).exit_code == 1


def test_modules_that_fail(start, module, locked):
    """The cause is that of any request."""
    spawner = start()
    spawner.new(preload=[module("preload_fails")])
    for _ in range(3):
        with pytest.raises(Failure) as caught:
            run(spawner, locked, "sockets", 1)
        assert caught.value.stage == "preload"


def test_map_says_why(forkserver, tmp_path):
    script = "import socket, sys\nif sys.argv[1] == 'b': socket.socket()"

    def run_map(sandbox):
        command = [forkserver, "map", "--sandbox", sandbox, "--json", str(tmp_path / "report"), "--",
                   "/usr/bin/python3", "-IS", "-c", script]
        result = subprocess.run(command, input="a\nb\n", capture_output=True, text=True, timeout=LIMIT)
        report = {line["item"]: line for line in map(json.loads, (tmp_path / "report").read_text().splitlines())}
        assert "refused" not in report["a"] and report["a"]["status"] == 0
        assert result.returncode == 123
        return result.stderr, report["b"]

    complaint, line = run_map("untrusted")
    assert complaint.endswith(
        "map: 1 of 2 items failed, the first: 'b' (exit code 1; its sandbox has refused socket)\n")
    assert (line["status"], line["refused"]) == (1, {"count": 1, "first": "socket"})
    complaint, line = run_map("untrusted,kill")
    assert "map: 'b': killed by its sandbox, which refuses the system call socket\n" in complaint
    assert (line["signal"], line["refused"]) == (9, {"count": 1, "first": "socket"})


def test_signals_within_a_process_alone(spawner):
    """As `kill`, `timeout` and Popen.kill() send them. None leaves the process with its children, not for the rest of
    its group either."""
    if landlock_abi() < 6 or DENY:
        pytest.skip("before Linux 6.12 no signal may be sent")
    # So many that some borrow the memory of the same standby.
    siblings = [spawner.spawn(program="sleep", argv=["sleep", "1000"], sandbox=["untrusted"]) for _ in range(8)]
    script = f"""
        sleep 1000 & kill $!; wait $!; test $? = 143 || exit 1
        timeout 0.1 sleep 1000; test $? = 124 || exit 2
        for pid in {" ".join(str(sibling.pid) for sibling in siblings)}; do kill $pid && exit 3; done
        kill {spawner.server()} && exit 4
        trap '' USR1; kill -USR1 0 || exit 5
        kill -KILL $$
    """
    process = spawner.spawn(program="sh", argv=["sh", "-c", script], sandbox=["untrusted"])
    assert process.code() == -signal.SIGKILL
    for sibling in siblings:
        sibling.kill(signal.SIGINT)
        assert sibling.code() == -signal.SIGINT


def test_memory_of_siblings(spawner):
    """Even where /proc may be read. So many that some borrow the memory of the same standby."""
    if landlock_abi() < 1 or DENY:
        pytest.skip("without landlock nothing closes that")
    spawner("set_sandbox", "untrusted", "read=/proc")
    siblings = [spawner.spawn(program="sleep", argv=["sleep", "1000"]) for _ in range(8)]
    script = f"""
        for pid in {" ".join(str(sibling.pid) for sibling in siblings)}; do
            grep -q sleep /proc/$pid/cmdline || exit 1
            head -c 1 /proc/$pid/environ && exit 2
            head -c 0 /proc/$pid/mem && exit 3
        done
        exit 4
    """
    borrows, does_not = [], [("open", 9, "/dev/null", os.O_RDONLY, 0)]
    for actions in (borrows, does_not, does_not, does_not, does_not):
        assert spawner.code_and_output(program="sh", argv=["sh", "-c", script], actions=actions) == (4, "")
    for sibling in siblings:
        sibling.kill(signal.SIGKILL)
        assert sibling.code() == -signal.SIGKILL


# ---- what cannot be had ----

def forkserver_run(forkserver, *words, **settings):
    return subprocess.run([forkserver, "run", *words], capture_output=True, text=True, timeout=LIMIT, **settings)


@pytest.mark.parametrize("text, complaint", [
    ("wild", "'wild' is no profile: untrusted, pure-compute, no-network, no-exec and none are"),
    ("untrusted,reed=/etc", "'reed=/etc' is none of its words"),
    ("untrusted,read", "'read' is none of its words"),
    ("untrusted,read=", "'read=': a path is missing"),
    ("untrusted,read=/a,b", "'b' is none of its words ('forkserver check --help' lists them; '\\,' is a comma"),
    ("none,tmpfs=tmp", "'tmpfs=tmp': the target has to be an absolute path without '..'"),
    ("none,ro-bind=usr", "'ro-bind=usr': the target has to be an absolute path without '..'"),
    ("none,connect=http", "'http'"),
    ("none,refuse=all", "'all'"),
    ("none,unshare=pid", "'pid'"),
    ("none,limit=AS", "limit 'AS' is not NAME:VALUE"),
    ("none,limit=AS:much", "'much' is not a size"),
    ("none,filter=/nonexistent", "'filter=/nonexistent': No such file or directory"),
    ("none,filter=/etc/ld.so.conf", "'filter=/etc/ld.so.conf': not whole instructions of 8 bytes"),
])
def test_mistakes(forkserver, text, complaint):
    result = forkserver_run(forkserver, "--sandbox", text, "true")
    assert result.returncode == 125 and complaint in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "map", "call", "check", "serve"])
def test_two_sandboxes(forkserver, command):
    """The second would lift what the first one closes."""
    result = subprocess.run([forkserver, command, "--sandbox", "untrusted", "--sandbox", "none", "x:y"],
                            capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
    assert (result.returncode, result.stderr) == (
        125, "forkserver: --sandbox is given twice, 'untrusted' and 'none': say all in one, with commas\n")


def test_program_that_the_sandbox_doesnt_let_run(forkserver, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    result = forkserver_run(forkserver, "--sandbox", "untrusted", str(script))
    assert (result.returncode, result.stderr) == (
        126, f"forkserver: executing '{script}' in its sandbox: Permission denied (stage exec)\n")
    assert forkserver_run(forkserver, "--sandbox", f"untrusted,exec={script}", str(script)).returncode == 0


def test_module_that_is_preloaded_by_a_relative_path(forkserver, locked):
    """It needs no file any more."""
    directory, name = os.path.split(os.path.realpath(locked))
    words = ["--sandbox", "pure-compute", "--preload", f"./{name}", "--call", f"./{name}:sockets", "1"]
    result = forkserver_run(forkserver, *words, cwd=directory)
    assert result.returncode == 1 and "has refused socket" in result.stderr


def test_program_that_is_found_first(forkserver, tmp_path):
    """It is not passed over for another one of its name, as a virtual environment's python3; what is no program is."""
    for name in ("id", "cat", "true"):
        (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / "id").chmod(0o755)
    (tmp_path / "ls").mkdir()
    search = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    result = forkserver_run(forkserver, "--sandbox", "untrusted", "id", env=search)
    assert (result.returncode, result.stderr) == (
        126, f"forkserver: executing '{tmp_path}/id' in its sandbox: Permission denied (stage exec)\n")
    for name in ("true", "ls"):
        result = forkserver_run(forkserver, "--sandbox", "untrusted", name, "/usr", env=search)
        assert (result.returncode, result.stderr) == (0, "")


def test_programs_that_have_openssl(forkserver):
    """Node.js doesn't start where its configuration is there and cannot be read."""
    if not os.path.exists("/etc/ssl/openssl.cnf"):
        pytest.skip("OpenSSL has no configuration here")
    command = ["--sandbox", "untrusted", "head", "-c", "0", "/etc/ssl/openssl.cnf"]
    assert forkserver_run(forkserver, *command).returncode == 0


def test_strict_alone(forkserver):
    result = forkserver_run(forkserver, "--strict", "true")
    assert (result.returncode, result.stderr) == (
        125, "forkserver: --strict needs --sandbox (try 'forkserver run --help')\n")


@pytest.mark.parametrize("word", ["ro-bind=/nonexistent:/x", "read=/nonexistent"])
def test_sandbox_that_cannot_be_had(forkserver, word):
    """The zygote says why, and nothing has run."""
    result = forkserver_run(forkserver, "--sandbox", f"none,{word}", "echo", "ran")
    assert (result.returncode, result.stdout) == (125, "")
    assert all(text in result.stderr for text in ("/nonexistent", "No such file or directory", "(stage sandbox)"))


def test_options_of_other_tools(forkserver, tmp_path):
    """As bwrap has them: a read-only root, an empty /tmp, no network."""
    script = f"cd /; touch {tmp_path}/x /tmp/y; ls /tmp; cat /proc/net/dev | grep -c :"
    result = forkserver_run(forkserver, "--ro-bind", "/:/", "--tmpfs", "/tmp", "--unshare-net", "sh", "-c", script)
    assert result.stdout == "y\n1\n" and not (tmp_path / "x").exists()
    assert forkserver_run(forkserver, "--unshare-uts", "--strict", "true").returncode == 0


def test_directory_of_other_mounts(forkserver, tmp_path):
    """By its name there, or /; never the one outside."""
    mounts = ["--ro-bind", "/:/", "--tmpfs", str(tmp_path.parent)]
    assert forkserver_run(forkserver, *mounts, "pwd", cwd="/usr").stdout == "/usr\n"
    (tmp_path / "file").touch()
    assert forkserver_run(forkserver, *mounts, "sh", "-c", "pwd; ls file", cwd=tmp_path).stdout == "/\n"


def learn(forkserver, profile, *words, **settings):
    """The exit code, and what --sandbox would have to say."""
    result = forkserver_run(forkserver, "--sandbox", profile, "--sandbox-learn", *words, **settings)
    last = result.stderr.splitlines()[-1]
    if last == "forkserver: the sandbox gives all that was needed":
        return result.returncode, profile
    assert last.startswith("forkserver: this was needed: --sandbox ")
    return result.returncode, last.split(" ")[-1]


@pytest.mark.parametrize("profile, needs", [("untrusted", True), ("no-network", True), ("no-exec", False)])
def test_learning(forkserver, tmp_path, profile, needs):
    """What was learned is what is needed: with it the run works, and without it, it doesn't."""
    script = tmp_path / "script,py"
    script.write_text("import socket, sys\nsocket.socket().close()\nopen(sys.argv[1] + '/new', 'w').write('x')\n")
    program = ["/usr/bin/python3", "-S", str(script), str(tmp_path)]
    code, sandbox = learn(forkserver, profile, *program)
    assert code == 0
    assert ("allow=network" in sandbox) == needs
    assert (f"make={tmp_path}".replace(",", "\\,") in sandbox) == (profile == "untrusted")
    (tmp_path / "new").unlink()
    if needs:
        assert forkserver_run(forkserver, "--sandbox", profile, *program).returncode != 0
    assert forkserver_run(forkserver, "--sandbox", sandbox, *program).returncode == 0
    assert (tmp_path / "new").exists()


CANNOT_WRITE = "sh: 1: cannot create /proc/self/coredump_filter: Permission denied\n"


def test_learning_what_is_there_later(forkserver, tmp_path):
    """Of files that are gone the directory, and of a process's own files in /proc all of it: they have its number."""
    script = (f"f=$(mktemp -p {tmp_path}); echo x >$f; cat $f /proc/self/comm; rm $f; "
              "echo 1 >/proc/self/coredump_filter; "
              f"mkdir {tmp_path}/a; echo y >{tmp_path}/a/b; cat {tmp_path}/a/b; rm -r {tmp_path}/a")
    code, sandbox = learn(forkserver, "untrusted,allow=metadata", "sh", "-c", script)
    assert code == 0 and f"make={tmp_path}" in sandbox.split(",") and "read=/proc" in sandbox.split(",")
    assert all(os.path.exists(word.partition("=")[2]) for word in sandbox.split(",") if "=/" in word)
    result = forkserver_run(forkserver, "--sandbox", sandbox, "sh", "-c", script)
    assert (result.returncode, result.stdout, result.stderr) == (0, "x\ncat\ny\n", CANNOT_WRITE)


def test_learning_from_an_entry_point(forkserver, locked):
    entry = ["--call", f"{locked}:others_sockets"]
    assert learn(forkserver, "untrusted", *entry) == (0, "untrusted,allow=network,allow=sockets")
    assert learn(forkserver, "none", *entry) == (0, "none")
    assert learn(forkserver, "untrusted", "sh", "-c", "kill -TERM $$")[0] == -signal.SIGTERM


def test_learning_needs_something(forkserver):
    result = forkserver_run(forkserver, "--sandbox-learn", "true")
    assert result.returncode == 125 and "--sandbox-learn needs --sandbox" in result.stderr
    result = forkserver_run(forkserver, "--sandbox", "none", "--sandbox-learn", "/nonexistent")
    assert result.returncode == 127


def test_sandboxes_whose_clients_are_gone(forkserver, tmp_path):
    """Their processes end, and the server takes none of it for a failure."""
    path, log = str(tmp_path / "socket"), tmp_path / "log"
    with open(log, "w", encoding="utf-8") as file:
        server = subprocess.Popen([forkserver, "serve", "--socket", path, "--standbys", "4"], stderr=file)
    try:
        assert subprocess.run([forkserver, "ping", "--socket", path, "--wait", str(20 * PATIENCE)],
                              stdout=subprocess.DEVNULL, timeout=LIMIT).returncode == 0
        for kind in ["none", "no-network"] * 3:
            assert forkserver_run(forkserver, "--socket", path, "--sandbox", kind, "true").returncode == 0
        assert eventually(lambda: not [pid for pid in children(server.pid) if "in sandbox" in title(pid)])
    finally:
        server.terminate()
        assert server.wait(LIMIT) == 0
    assert [line for line in log.read_text(encoding="utf-8").splitlines() if "before" in line] == []


# ---- a server that has one for all ----

def test_server_in_a_sandbox(forkserver, locked, tmp_path):
    path = str(tmp_path / "socket")
    command = [forkserver, "serve", "--socket", path, "--sandbox", "untrusted", "--preload", locked]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        assert subprocess.run([forkserver, "ping", "--socket", path, "--wait", str(20 * PATIENCE)],
                              stdout=subprocess.DEVNULL, timeout=LIMIT).returncode == 0
        result = forkserver_run(forkserver, "--socket", path, "--call", f"{locked}:sockets", "2")
        assert (result.returncode, result.stderr) == (
            2, f"forkserver: the sandbox of {locked}:sockets has refused socket, and more\n")
        result = forkserver_run(forkserver, "--socket", path, "cat", "/etc/passwd")
        assert (result.returncode, result.stdout) == (1, "") and "Permission denied" in result.stderr
        result = forkserver_run(forkserver, "--socket", path, "--sandbox", "none", "true")
        assert result.returncode == 125 and "the whole fork server, is in one already" in result.stderr
    finally:
        server.terminate()
        assert server.wait(LIMIT) == 0


