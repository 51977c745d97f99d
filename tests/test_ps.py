# SPDX-License-Identifier: MIT
"""`forkserver ps` and `forkserver top`: what a server's processes are, run and use."""

import contextlib
import fcntl
import json
import os
import pty
import pwd
import re
import select
import signal
import struct
import subprocess
import termios

import pytest

from leftovers import descendants
from test_run import LIMIT, eventually, is_one_line
from test_serve import call, serve, server  # noqa: F401 (fixtures)

NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture
def ps(forkserver, server):
    def ask(*options):
        result = call(forkserver, "ps", "--socket", server.path, *options)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    return ask


@pytest.fixture
def rows(ps):
    return lambda *options: json.loads(ps("--json", *options))["list"]


@pytest.fixture
def work(server, rows):
    """Starts a worker, and waits until it is what the condition wants: its row."""
    clients = []

    def start(*words, until=lambda row: True):
        known = {row["pid"] for row in rows()}
        command = [server.forkserver, "run", "--socket", server.path, *words]
        clients.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))

        def find():
            return [row for row in rows() if row["pid"] not in known and row["what"] and until(row)]

        found = eventually(find)
        assert found, rows()
        return {**found[0], "client": clients[-1].pid}

    yield start
    for pid in [row["pid"] for row in rows()] if server.process.poll() is None else []:
        for kill, number in [(os.killpg, pid), *((os.kill, each) for each in [*descendants(pid), pid])]:
            with contextlib.suppress(ProcessLookupError):
                kill(number, signal.SIGKILL)
    for client in clients:
        client.communicate(timeout=LIMIT)


def table(text):
    """Its rows, each a dictionary."""
    lines = text.splitlines()
    names = lines[0].split()
    return [dict(zip(names, line.split(None, len(names) - 1))) for line in lines[1:]]


# ---- ps ----


def test_nothing_runs(ps, rows):
    assert rows() == [] and table(ps()) == [] and is_one_line(ps())


def test_columns(ps, work, server):
    row = work("--timeout", "100", "--sandbox", "none", "sleep", "1000", until=lambda row: row["what"] == "sleep 1000")
    [line] = table(ps())
    assert line["PID"] == str(row["pid"]) and line["CLIENT"] == str(row["client"]) == str(row["client_pid"])
    assert line["USER"] == row["user"] == pwd.getpwuid(os.geteuid()).pw_name and row["client_uid"] == os.geteuid()
    assert re.fullmatch(r"\d\d:\d\d", line["AGE"]) and re.fullmatch(r"01:[234]\d", line["LEFT"])
    assert 0 < row["left_ms"] <= 100_000 and row["age_ms"] < 100_000
    assert line["PROCS"] == "1" and row["processes"] == row["threads"] == 1
    assert re.fullmatch(r"\d+:\d\d\.\d\d", line["CPU"]) and re.fullmatch(r"[\d.]+[KM]", line["MEM"])
    assert row["memory"] > 0 and row["state"] in "RSD" and row["role"] == "worker"
    assert line["SANDBOX"] == "yes" and row["sandbox"] is True and line["WHAT"] == "sleep 1000"


def test_entry(ps, work, testmod):
    row = work("--call", f"{testmod}:hang", "a", "b")
    [line] = table(ps("--pss"))
    assert row["what"] == line["WHAT"] == f"{testmod}:hang a b"
    assert (line["LEFT"], line["SANDBOX"], row["left_ms"], row["sandbox"]) == ("-", "-", None, False)


@pytest.mark.parametrize("options, script, members", [
    ([], "sleep 1000 & sleep 1000 & sleep 1000 & wait", 4),
    ([], "setsid sleep 1000 & wait", 2),  # out of the group
    (["--timeout", "100"], "(sleep 1000 &); exec sleep 1001", 2),  # its parent has ended
    (["--timeout", "100"], "setsid sh -c 'sleep 1000 & wait' & wait", 3),
])
def test_family(work, options, script, members):
    row = work(*options, "sh", "-c", script, until=lambda row: row["processes"] == members)
    assert row["threads"] == members and row["memory"] > 0


def test_time_of_children_that_have_ended(work, ps):
    row = work("sh", "-c", "sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); done'; exec sleep 1000",
               until=lambda row: row["what"] == "sleep 1000")
    assert row["cpu_ms"] >= 10
    other = work("sleep", "1001")
    assert [line["PID"] for line in table(ps("--sort", "cpu"))] == [str(row["pid"]), str(other["pid"])]
    assert [line["PID"] for line in table(ps())] == [str(row["pid"]), str(other["pid"])]
    assert [int(line["PID"]) for line in table(ps("--sort", "pid"))] == sorted([row["pid"], other["pid"]])
    memory = {str(each["pid"]): each["memory"] for each in json.loads(ps("--json", "--sort", "mem"))["list"]}
    assert list(memory.values()) == sorted(memory.values(), reverse=True)


def test_any_bytes(work, ps):
    words = ["sh", "-c", "read x", "sh", "\x1b[31mred\x07", "two\nlines\ttab", b"\xff\xc3", "\u0085", "grün", ""]
    what = os.fsdecode(b" ".join(word if isinstance(word, bytes) else word.encode() for word in words[:-1])) + " "
    work(*words, until=lambda row: row["what"].rstrip() == what.rstrip())
    [_, line] = ps().split("\n")[:-1]
    assert line.endswith("?[31mred? two lines tab ?? ? grün")
    assert not re.search("[\0-\x1f\x7f-\x9f]", line)


def test_zombie_of_a_family(work):
    """It has neither a command line nor memory."""
    row = work("sh", "-c", "sleep 0 & exec sleep 1000",
               until=lambda row: row["what"] == "sleep 1000" and row["processes"] == 2)
    assert row["memory"] > 0


def test_all(ps, rows, work, server):
    work("sleep", "1000")
    roles = [row["role"] for row in rows("--all")]
    assert roles.count("zygote") == 1 and roles.count("worker") == 1 and "standby" in roles
    lines = table(ps("--all"))
    assert {line["ROLE"] for line in lines} <= {"zygote", "standby", "worker", "other"}
    [zygote] = [row for row in rows("--all") if row["role"] == "zygote"]
    assert zygote["pid"] == server.stats()["zygote_pid"] and zygote["client_pid"] is zygote["user"] is None
    assert zygote["what"].endswith("testmod.so") and not zygote["what"].startswith("forkserver")


def test_another_pid_namespace(forkserver, serve, testmod):
    """Its numbers are strangers' here."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode != 0:
        pytest.skip("no pid namespaces here")
    server = serve("--preload", testmod, wrap=lambda *command: [*NAMESPACE, *map(str, command)]).wait_until_it_listens()
    client = server.start("sleep", "1000")
    ask = [forkserver, "ps", "--socket", server.path]
    try:
        answer = eventually(lambda: (found := json.loads(call(*ask, "--json").stdout))["list"] and found)
        [row] = answer["list"]
        assert answer["same_pid_namespace"] is False and row["pid"] < 100
        assert row["what"] is row["cpu_ms"] is row["memory"] is row["processes"] is row["state"] is None
        result = call(*ask)
        [line] = table(result.stdout)
        assert [line[name] for name in ("CPU", "MEM", "PROCS", "WHAT")] == ["-"] * 4
        assert is_one_line(result.stderr) and "another pid namespace" in result.stderr
        text = call(forkserver, "top", "--count", 1, "--all", "--socket", server.path).stdout
        assert "what /proc says of its processes is not known here" in text
    finally:
        client.send_signal(signal.SIGTERM)
        client.communicate(timeout=LIMIT)


def test_misuse(forkserver, tmp_path):
    for command in "ps", "top":
        for words in [], ["--socket", "s", "x"], ["--socket", "s", "--sort", "x"], ["--socket", tmp_path / "none"]:
            result = call(forkserver, command, *words)
            assert (result.returncode, result.stdout) == (125, "") and is_one_line(result.stderr)
    for words in ["--interval", "0"], ["--interval", "x"], ["--count", "0"]:
        assert call(forkserver, "top", "--socket", "s", *words).returncode == 125


# ---- top, piped ----


def test_top_piped(forkserver, server, work):
    work("sh", "-c", "while :; do :; done")
    ask = [forkserver, "top", "--socket", server.path, "--interval", "300ms", "--count", "2"]
    first, second = call(*ask).stdout.split("\n\n")
    for text in first, second:
        head, counters, *lines = text.strip().split("\n")
        assert re.fullmatch(rf"server {server.process.pid}, up 00:\d\d, ready", head)
        assert re.fullmatch(r"workers 1, standbys \d+, spawns [\d.]+/s, exits [\d.]+/s, failures 0", counters)
    assert re.fullmatch(r"[\d.]+", table("\n".join(lines))[0]["%CPU"])
    one, other = map(json.loads, call(*ask, "--json").stdout.splitlines())
    assert one["spawns"] == other["spawns"] == 1
    assert other["spawns_per_second"] == 0 and other["uptime_ms"] > one["uptime_ms"]

    def use():
        return json.loads(call(*ask, "--json").stdout.splitlines()[1])["list"][0]["cpu_percent"]

    assert eventually(lambda: use() > 0)  # on a busy machine it may have no tick for a while


def test_server_ends_below_top(forkserver, server):
    top = subprocess.Popen([forkserver, "top", "--socket", server.path, "--interval", "100ms", "--json"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert json.loads(top.stdout.readline())["workers"] == 0
    server.end()
    _, err = top.communicate(timeout=LIMIT)
    assert top.returncode == 125 and is_one_line(err) and "doesn't serve any more" in err


def test_nobody_reads(forkserver, server):
    top = subprocess.Popen([forkserver, "top", "--socket", server.path, "--interval", "1h"], stdout=subprocess.PIPE)
    assert top.stdout.readline().startswith(b"server")
    top.stdout.close()
    assert top.wait(LIMIT) == 0


# ---- top, on a terminal ----


class Screen:
    """A program on a terminal of its own. The lines are those of the last picture."""

    def __init__(self, words, columns, lines):
        self.master, self.slave = pty.openpty()
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(self.slave)

        def own():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(words, stdin=self.slave, stdout=self.slave, stderr=self.slave, preexec_fn=own,
                                        env={**os.environ, "TERM": "xterm"})
        self.text = ""

    def resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys.encode())

    def lines(self):
        picture = self.text.rpartition("\x1b[H")[2].replace("\r", "")
        return re.sub(r"\x1b\[\??[\d;]*[a-zA-Z]", "", picture).split("\n")

    def wait(self, condition):
        while not condition():
            assert select.select([self.master], [], [], LIMIT)[0], self.lines()
            self.text += os.read(self.master, 65536).decode(errors="replace")

    def shows(self, text):
        self.wait(lambda: any(text in line for line in self.lines()))

    def ends(self):
        """The exit code; the terminal is as it was."""
        code = self.process.wait(LIMIT)
        self.wait(lambda: "\x1b[?1049l" in self.text or not select.select([self.master], [], [], 0)[0])
        assert termios.tcgetattr(self.slave) == self.modes
        assert self.text.count("\x1b[?1049h") == self.text.count("\x1b[?1049l")
        assert self.text.count("\x1b[?25l") >= self.text.count("\x1b[?25h") > 0
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def screen(forkserver, server):
    screens = []

    def start(*options, columns=80, lines=24, script=None):
        words = [forkserver, "top", "--socket", server.path, *options]
        if script:
            words = ["bash", "-mc", script, *words]
        screens.append(Screen(words, columns, lines))
        return screens[-1]

    yield start
    for each in screens:
        each.close()


def test_keys(screen, work):
    work("sleep", "1000")
    work("sleep", "1001" + "0" * 90)
    top = screen("--interval", "1h")
    top.shows("by CPU; h for help")
    top.shows("sleep 1000")
    lines = top.lines()
    assert lines[0].startswith("server ") and lines[1].startswith("workers 2, ") and "%CPU" in lines[3]
    assert all(len(line) <= 80 for line in lines) and any(len(line) == 80 for line in lines)
    assert not termios.tcgetattr(top.slave)[3] & (termios.ICANON | termios.ECHO)
    for key, text in ("m", "by memory"), ("a", "by age"), ("p", "by pid"), ("c", "by CPU"), ("h", "q quit"):
        top.press(key)
        top.shows(text)
    work("sleep", "2000")
    top.press("h ")
    top.shows("sleep 2000")
    top.press("q")
    assert top.ends() == 0


def test_small_terminal_and_another_size(screen, work):
    work("sleep", "1000")
    top = screen("--interval", "1h", columns=20, lines=5)
    top.wait(lambda: len(top.lines()) == 5 and "sleep 1" in top.lines()[4])
    assert all(len(line) <= 20 for line in top.lines())
    for columns, lines in (100, 30), (1, 1), (20, 4), (80, 24):
        top.resize(columns, lines)
        top.wait(lambda: len(top.lines()) == min(lines, 6) and max(map(len, top.lines())) > columns // 3)
        assert all(len(line) <= columns for line in top.lines())
    top.press("\x03")
    assert top.ends() == -signal.SIGINT


def test_ctrl_c_while_the_server_does_not_answer(screen, server):
    top = screen("--interval", "1h")
    top.shows("by CPU")
    server.process.send_signal(signal.SIGSTOP)
    try:
        top.press(" ")
        top.press("\x03")
        assert top.ends() == -signal.SIGINT
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signal(screen, name):
    top = screen("--interval", "1h")
    top.shows("by CPU")
    top.process.send_signal(name := getattr(signal, name))
    assert top.ends() == -name


def test_stop_and_continue(screen):
    script = '"$0" "$@"; stty -a; echo has stopped; fg >&2; echo code $?'
    top = screen("--interval", "1h", script=script)
    top.shows("by CPU")
    top.press("\x1a")
    top.wait(lambda: "has stopped" in top.text)
    said = top.text.rpartition("\x1b[?1049l")[2]
    assert " icanon " in said and " echo " in said
    top.text = top.text.partition("has stopped")[2] + "\x1b[?1049h\x1b[?1049l"
    top.wait(lambda: top.text.count("\x1b[?1049h") == 1 + 1 and "by CPU" in top.text)
    top.press("q")
    top.wait(lambda: "code 0" in top.text)
    assert top.ends() == 0


def test_continued_after_a_stop_that_nobody_hears_of(screen):
    top = screen("--interval", "1h")
    top.shows("by CPU")
    top.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, top.process.pid, os.WSTOPPED)
    termios.tcsetattr(top.slave, termios.TCSANOW, top.modes)
    top.text = "\x1b[?1049h"
    top.process.send_signal(signal.SIGCONT)
    top.shows("by CPU")
    assert not termios.tcgetattr(top.slave)[3] & termios.ICANON
    top.press("q")
    assert top.ends() == 0


def test_server_ends_below_a_live_view(screen, server):
    top = screen("--interval", "100ms")
    top.shows("by CPU")
    server.end()
    assert top.process.wait(LIMIT) == 125
    top.wait(lambda: "any more" in top.text)
    assert "doesn't serve any more" in top.text.rpartition("\x1b[?1049l")[2]
    assert top.ends() == 125
