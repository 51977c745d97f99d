# SPDX-License-Identifier: MIT
"""`forkserver map`: items as jobs. Whole families end; stops, the terminal and inherited files are as under a shell."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios

import pytest

from conftest import MISSING
from leftovers import PATIENCE
from spawner import eventually

LIMIT = 60 * PATIENCE
FAMILY = 'sleep 1000 & echo $! >"$0/child"; touch "$0/$1"; wait'


def command(forkserver, *args):
    return [forkserver, "map", *map(str, args)]


def run(forkserver, items, *args, **options):
    return subprocess.run(command(forkserver, *args), input=items.encode(), capture_output=True, timeout=LIMIT,
                          **options)


@pytest.fixture
def start(forkserver):
    """Each is the leader of a process group, as a shell's job."""
    processes = []

    def start_map(items, *args, **options):
        process = subprocess.Popen(command(forkserver, *args), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, preexec_fn=os.setpgrp, **options)
        process.stdin.write(items.encode())
        process.stdin.close()
        process.stdin = None
        processes.append(process)
        return process

    yield start_map
    for process in processes:
        process.kill()
        process.communicate(timeout=LIMIT)


def pid_in(path):
    assert eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def state(pid):
    """The letter of ps(1); None: gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(") ")[2][0]
    except OSError:
        return None


def has_ended(pid):
    return state(pid) in (None, "Z")


# ---- a job is a family ----


def test_second_signal_ends_the_family(start, tmp_path):
    process = start("a\n", "-j1", "sh", "-c", FAMILY, tmp_path)
    child = pid_in(tmp_path / "child")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGINT
    assert eventually(lambda: has_ended(child))


@pytest.mark.parametrize("grace", [False, True])
def test_limit_ends_the_family(forkserver, tmp_path, grace):
    """And it may say goodbye, where there is a grace."""
    script = f"trap 'touch \"$0/told\"; exit 0' TERM; {FAMILY.removesuffix('wait')} while :; do sleep 0.01; done"
    options = ["--kill-after", "10"] if grace else []
    result = run(forkserver, "a\n", "--timeout", "1s", *options, "sh", "-c", script, tmp_path)
    assert result.returncode == 123
    how = b"ended" if grace else b"killed"
    assert b"forkserver: map: 'a': %s after its time limit\n" % how in result.stderr
    assert (tmp_path / "told").exists() == grace
    assert eventually(lambda: has_ended(pid_in(tmp_path / "child")))


def test_second_signal_with_a_grace(start, tmp_path):
    script = "trap 'touch \"$0/told\"; exit 0' TERM; touch $0/$1; while :; do sleep 0.01; done"
    process = start("a\nb\n", "-j2", "--kill-after", 100, "sh", "-c", script, tmp_path)
    assert eventually(lambda: {"a", "b"} <= set(os.listdir(tmp_path)))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGINT
    assert (tmp_path / "told").exists()


def test_grace_ends(start, tmp_path):
    """A process that is deaf to SIGTERM is killed after it."""
    script = 'trap "" TERM; touch $0/$1; while :; do sleep 1; done'
    process = start("a\n", "--kill-after", "50ms", "sh", "-c", script, tmp_path)
    assert eventually((tmp_path / "a").exists)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGINT
    assert b"'a': killed by SIGKILL" in process.stderr.read()


@pytest.mark.skipif("pidfd_group" in MISSING, reason="a group can't be named without its leader")
@pytest.mark.parametrize("how", ["time is up", "third signal"])
def test_family_that_is_deaf(start, tmp_path, how):
    """Its leader ends at SIGTERM; a member that stays is killed all the same."""
    script = 'trap "touch $0/told; exit" TERM; sh -c "$2" "$0" & wait'
    deaf = 'trap "" TERM; echo $$ >"$0/child"; exec sleep 1000'
    words = ["sh", "-c", script, tmp_path, "{}", deaf]
    process = start("a\n", "--kill-after", "100ms" if how == "time is up" else 1000, *words)
    child = pid_in(tmp_path / "child")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    if how == "third signal":
        assert eventually((tmp_path / "told").exists)
        assert not has_ended(child) and process.poll() is None
        process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGINT
    assert eventually(lambda: has_ended(child))


def test_leftovers_of_success_live_on(start, tmp_path):
    """As with xargs: not even the second ^C is for them."""
    script = """[ "$1" = b ] || { (touch $0/left; until [ -e $0/go ]; do sleep 0.01; done; touch $0/lived) & exit; }
                touch $0/b; sleep 1000"""
    process = start("a\nb\n", "-j1", "sh", "-c", script, tmp_path)
    assert eventually(lambda: {"left", "b"} <= set(os.listdir(tmp_path)))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGINT
    (tmp_path / "go").touch()
    assert eventually((tmp_path / "lived").exists)


# ---- stops ----


def test_stop_and_continue(start, tmp_path):
    for item in "ab":
        os.mkfifo(tmp_path / f"fifo{item}")
    process = start("a\nb\n", "-j2", "-k", "sh", "-c", 'echo $$ >"$0/pid$1"; read x <"$0/fifo$1"; echo $x', tmp_path)
    pids = [pid_in(tmp_path / "pida"), pid_in(tmp_path / "pidb"), process.pid]
    for _ in range(2):
        process.send_signal(signal.SIGTSTP)
        assert eventually(lambda: [state(pid) for pid in pids] == ["T"] * 3)
        process.send_signal(signal.SIGCONT)
        assert eventually(lambda: "T" not in [state(pid) for pid in pids])
    for item in "ab":
        (tmp_path / f"fifo{item}").write_text(f"{item}\n")
    assert process.communicate(timeout=LIMIT) == (b"a\nb\n", b"")


def test_stop_while_nobody_reads(start, tmp_path):
    """The write waits, and is stopped as well."""
    script = 'if [ "$1" = a ]; then head -c 1000000 /dev/zero; else echo $$ >"$0/pid"; sleep 1000; fi'
    process = start("b\na\n", "-j2", "sh", "-c", script, tmp_path)
    pid = pid_in(tmp_path / "pid")
    assert select.select([process.stdout], [], [], LIMIT)[0]
    process.send_signal(signal.SIGTSTP)
    assert eventually(lambda: (state(pid), state(process.pid)) == ("T", "T"))
    process.send_signal(signal.SIGCONT)
    assert eventually(lambda: state(pid) != "T")


def test_item_stopped_by_a_signal(start, tmp_path):
    """That is theirs to know: it goes on when they say so."""
    process = start("a\n", "sh", "-c", 'echo $$ >"$0/pid"; until [ -e "$0/go" ]; do sleep 0.01; done', tmp_path)
    pid = pid_in(tmp_path / "pid")
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: state(pid) == "T")
    (tmp_path / "go").touch()
    assert not eventually(lambda: process.poll() is not None, 0.2)
    os.kill(pid, signal.SIGCONT)
    assert process.wait(LIMIT) == 0


# ---- on a terminal ----


class Terminal:
    """A program with a terminal of its own: what it shows, and keys for it."""

    def __init__(self, words, cwd):
        self.master, slave = pty.openpty()

        def own():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([os.fspath(word) for word in words], stdin=slave, stdout=slave, stderr=slave,
                                        preexec_fn=own, cwd=cwd)
        os.close(slave)
        self.text = ""

    def read_until(self, text):
        while text not in self.text:
            assert select.select([self.master], [], [], LIMIT)[0], f"no '{text}' in {self.text!r}"
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # EIO: it has hung up
                piece = b""
            assert piece, f"no '{text}' in {self.text!r}"
            self.text += piece.decode().replace("\r", "")
        self.text = self.text.partition(text)[2]

    def press(self, keys):
        os.write(self.master, keys)

    def close(self):
        os.close(self.master)
        self.process.kill()
        self.process.wait(LIMIT)


@pytest.fixture
def terminal(forkserver, tmp_path):
    """A shell that runs a script with $MAP in it."""
    terminals = []

    def start_shell(script, shell="bash"):
        script = script.replace("$MAP", f"{forkserver} map")
        terminals.append(Terminal([shell, "-c", script], tmp_path))
        return terminals[-1]

    yield start_shell
    for each in terminals:
        each.close()


def test_ctrl_c_ends_a_loop(terminal, tmp_path):
    """A shell goes on after a program that exits, but not after one that dies by the signal."""
    shell = terminal("for i in 1 2; do echo x | $MAP --quiet -- sh -c 'touch up; until [ -e go ]; do sleep 0.01; done'"
                     "; touch over; done")
    assert eventually((tmp_path / "up").exists)
    shell.press(b"\x03")
    shell.read_until("^C")
    (tmp_path / "go").touch()
    assert eventually(lambda: shell.process.poll() is not None)
    assert shell.process.returncode == -signal.SIGINT and not (tmp_path / "over").exists()


@pytest.mark.parametrize("work", ["read line < /dev/tty", "stty sane < /dev/tty"])
def test_item_wants_the_terminal(terminal, work):
    """It would hang for ever."""
    shell = terminal(f"printf 'a\\nb\\n' | $MAP --quiet --json report -- sh -c '[ $0 = b ] || {work}'; echo code $?")
    shell.read_until("forkserver: map: 'a': it was stopped because it wants the terminal (see --tty)\n")
    shell.read_until("code 123\n")


def test_terminal_is_lent(terminal):
    """To one at a time, also without job control, and it comes back."""
    shell = terminal("printf 'a\\nb\\n' | $MAP -j2 --quiet --tty -- sh -c 'test -t 0 && test -t 1 && echo \"$0?\" "
                     "&& read x && echo $0 got $x'; read y; echo shell got $y")
    for item in "ab":
        shell.read_until(f"{item}?\n")
        shell.press(b"word\n")
        shell.read_until(f"{item} got word\n")
    shell.press(b"more\n")
    shell.read_until("shell got more\n")


def test_ctrl_c_to_an_item_with_the_terminal(terminal, tmp_path):
    """It is for map, too: the next item isn't started."""
    shell = terminal("trap 'echo shell lives' INT; printf 'a\\nb\\n' | "
                     "$MAP --quiet --tty -- sh -c 'touch $0; exec sleep 1000'; echo code $?")
    assert eventually((tmp_path / "a").exists)
    shell.press(b"\x03")
    shell.read_until("code 130\n")
    assert not (tmp_path / "b").exists()


def test_ctrl_z_to_an_item_with_the_terminal(terminal):
    shell = terminal("set -m; printf 'a\\n' > items; $MAP -a items --quiet --tty -- "
                     "sh -c 'read x; echo has $x; read x; echo got $x'; echo code $?; fg; echo end $?")
    shell.press(b"first\n")
    shell.read_until("has first\n")
    shell.press(b"\x1a")
    shell.read_until("code 148\n")
    shell.press(b"word\n")
    shell.read_until("got word\n")
    shell.read_until("end 0\n")


def test_ctrl_z_and_fg(terminal):
    shell = terminal("set -m; printf 'a\\n' > items; $MAP -a items --quiet -- "
                     "sh -c 'touch up; until [ -e go ]; do sleep 0.01; done; echo done'; "
                     "echo code $?; touch go; fg; echo end $?")
    assert eventually(lambda: os.path.exists(f"/proc/{shell.process.pid}/cwd/up"))
    shell.press(b"\x1a")
    shell.read_until("code 148\n")
    shell.read_until("done\n")
    shell.read_until("end 0\n")


def test_no_terminal(forkserver):
    result = run(forkserver, "x\n", "--tty", "echo", start_new_session=True)
    assert (result.returncode, result.stdout) == (125, b"")
    assert result.stderr.startswith(b"forkserver: map: --tty: there is no terminal: ")


# ---- what the caller left open ----


def test_inherited_files(forkserver, tmp_path):
    """Under their own numbers: `exec 3>log`, make's jobserver."""
    script = (f"exec 3>log 7<items; printf 'a\\nb\\n' | {forkserver} map -j1 -- "
              "sh -c 'echo $0 >&3; read line <&7; echo $line'")
    (tmp_path / "items").write_text("one\ntwo\n")
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, timeout=LIMIT)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"one\ntwo\n", b"")
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_nothing_else_is_inherited(forkserver):
    result = run(forkserver, "a\nb\n", "-j2", "-k", "sh", "-c", "exec ls /proc/self/fd")
    assert result.stdout == b"0\n1\n2\n3\n" * 2  # with that of the directory


def test_jobserver(forkserver, tmp_path):
    """A recursive make counts its jobs with its caller's."""
    (tmp_path / "Makefile").write_text(f"all:\n\t+@echo a | {forkserver} map -- $(MAKE) -f sub.mk -s all #\n")
    (tmp_path / "sub.mk").write_text("all a:\n\t@:\n")
    result = subprocess.run(["make", "-s", "-j2"], cwd=tmp_path, capture_output=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, b"")


def test_closed_streams(forkserver):
    """Items have a standard input and outputs all the same."""
    script = f"printf 'a\\n' > items; {forkserver} map -a items -- sh -c 'cat; echo out' <&-"
    result = subprocess.run(["sh", "-c", script], capture_output=True, timeout=LIMIT, cwd="/tmp")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"out\n", b"")


# ---- which one failed ----


def test_names_the_first_that_failed(forkserver):
    script = 'case $0 in b) exit 3;; d) kill -9 $$;; esac'
    result = run(forkserver, "a\nb\nc\nd\n", "-j1", "sh", "-c", script)
    assert result.returncode == 123
    assert result.stderr == (b"forkserver: map: 'd': killed by SIGKILL\n"
                             b"forkserver: map: 2 of 4 items failed, the first: 'b' (exit code 3)\n")
    assert run(forkserver, "a\nb\n", "--quiet", "sh", "-c", script).stderr == b""
    assert run(forkserver, "a\nc\n", "sh", "-c", script).stderr == b""


def test_is_told_once(forkserver):
    """An item that has a line of its own needs no other."""
    result = run(forkserver, "d\n", "sh", "-c", "kill -9 $$")
    assert (result.returncode, result.stderr) == (123, b"forkserver: map: 'd': killed by SIGKILL\n")
