# SPDX-License-Identifier: MIT
"""`forkserver run`: exit codes, what the process sees, signals and terminals."""

import fcntl
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from leftovers import PATIENCE
from spawner import eventually

LIMIT = 30 * PATIENCE

# Says each signal by name, once per delivery; ends on SIGTERM with code 42.
WITNESS = r"""
import os, signal, sys, time
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())
def on(number, frame):
    say(signal.Signals(number).name)
    if number == signal.SIGWINCH and os.isatty(0):
        say("columns", os.get_terminal_size(0).columns)
    if number == signal.SIGTERM:
        sys.exit(42)
for name in sys.argv[1].split(","):
    signal.signal(getattr(signal, "SIG" + name), on)
say("ready", os.getpid())
while True:
    time.sleep(0.05)
"""


def run(forkserver, *args, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    command = [forkserver, "run", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, **options)


def start(forkserver, *args, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([forkserver, "run", *map(str, args)], stdout=subprocess.PIPE, text=True, **options)


def start_witness(forkserver, names, *options):
    """A running witness: its `run` and the worker's pid."""
    process = start(forkserver, *options, sys.executable, "-c", WITNESS, names)
    word, pid = process.stdout.readline().split()
    assert word == "ready"
    return process, int(pid)


def is_one_line(text):
    return text.endswith("\n") and text.count("\n") == 1


def stat_fields(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def state(pid):
    try:
        return stat_fields(pid)[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


@pytest.fixture
def build_module(tmp_path):
    def build(name, code):
        source, module = tmp_path / f"{name}.c", tmp_path / f"{name}.so"
        source.write_text(code)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", module, source], check=True)
        return str(module)

    return build


# ---- exit codes ----


@pytest.mark.parametrize("code", [0, 1, 7, 125, 126, 255])
def test_exit_code_of_program(forkserver, code):
    result = run(forkserver, "sh", "-c", f"exit {code}")
    assert (result.returncode, result.stderr) == (code, "")


@pytest.mark.parametrize("code", [0, 1, 200])
def test_exit_code_of_entry(forkserver, testmod, code):
    assert run(forkserver, "--call", f"{testmod}:exit_with", code).returncode == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT])
def test_death_by_signal(forkserver, testmod, number):
    """The parent sees the signal; a reader of standard error does, too."""
    for command in ("--preload", testmod, "--call", f"{testmod}:die_by", int(number)), ("sh", "-c",
                                                                                        f"kill -{int(number)} $$"):
        result = run(forkserver, *command)
        assert result.returncode == -number
        assert f" was killed by {number.name}" in result.stderr and is_one_line(result.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGPIPE])
def test_death_by_a_signal_that_shells_do_not_tell_of(forkserver, number):
    result = run(forkserver, "sh", "-c", f"kill -{int(number)} $$")
    assert (result.returncode, result.stderr) == (-number, "")


def test_death_without_a_second_core_dump(forkserver, tmp_path):
    result = run(forkserver, "sh", "-c", "ulimit -c unlimited; kill -SEGV $$", cwd=tmp_path)
    assert result.returncode == -signal.SIGSEGV


def test_program_not_found(forkserver):
    for name in "/no/such/program", "no-such-program":
        result = run(forkserver, name)
        assert result.returncode == 127
        assert name in result.stderr and "No such file" in result.stderr and is_one_line(result.stderr)
    assert run(forkserver, "").returncode == 127


def test_program_cannot_be_run(forkserver, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fELFnonsense")
    garbage.chmod(0o755)
    for path in plain, garbage, tmp_path:
        result = run(forkserver, path)
        assert result.returncode == 126
        assert str(path) in result.stderr and is_one_line(result.stderr)


def test_bad_entry(forkserver, testmod, tmp_path):
    text = tmp_path / "text.so"
    text.write_text("not a shared object")
    for entry, names in (
        (f"{testmod}:no_such_function", "no_such_function"),
        ("/no/such/module.so:main", "/no/such/module.so"),
        (f"{text}:main", str(text)),
    ):
        result = run(forkserver, "--call", entry)
        assert result.returncode == 125
        assert names in result.stderr and "stage entry" in result.stderr and is_one_line(result.stderr)


def test_bad_preload(forkserver, testmod, tmp_path, build_module):
    text = tmp_path / "text.so"
    text.write_text("not a shared object")
    crashing = build_module("crashing", "__attribute__((constructor)) static void f(void) { __builtin_trap(); }")
    for module in "/no/such/module.so", text, crashing:
        result = run(forkserver, "--preload", testmod, "--preload", module, "true")
        assert result.returncode == 125
        assert str(module) in result.stderr and "stage preload" in result.stderr and is_one_line(result.stderr)


def test_timeout(forkserver, testmod):
    result = run(forkserver, "--timeout", "0.3", "--call", f"{testmod}:hang")
    assert result.returncode == -signal.SIGKILL
    assert "longer than 0.3 s" in result.stderr and is_one_line(result.stderr)
    assert run(forkserver, "--timeout", "20", "true").returncode == 0
    assert run(forkserver, "--timeout", "0", "true").returncode == 0


def test_timeout_ends_the_family(forkserver):
    """As under timeout(1): what holds the output ends, too."""
    result = run(forkserver, "--timeout", "1", "sh", "-c", "sleep 1000 & echo $!; wait")
    assert result.returncode == -signal.SIGKILL
    assert eventually(lambda: state(int(result.stdout)) in (None, "Z"))


def test_timeout_with_a_grace(forkserver):
    """What it makes of SIGTERM isn't its exit code: it may be 0."""
    code = "trap 'echo polite; exit 0' TERM; while :; do sleep 0.01; done"
    result = run(forkserver, "--timeout", "1", "--kill-after", "1m", "sh", "-c", code)
    assert (result.returncode, result.stdout) == (124, "polite\n") and "longer than 1 s" in result.stderr
    result = run(forkserver, "--timeout", "0.1", "--kill-after", "0.1", "sh", "-c", "trap '' TERM; sleep 1000")
    assert result.returncode == -signal.SIGKILL
    assert run(forkserver, "--kill-after", "1", "true").returncode == 125


def test_signals_reach_the_family_under_a_time_limit(forkserver):
    process = start(forkserver, "--timeout", "60", "sh", "-c", "sleep 1000 & echo $!; wait")
    child = int(process.stdout.readline())
    process.terminate()
    assert process.wait(LIMIT) == -signal.SIGTERM
    assert eventually(lambda: state(child) in (None, "Z"))
    process.stdout.close()


# ---- the command line ----


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--call"],
        ["--call", "nocolon"],
        ["--call", ":f"],
        ["--call", "m:"],
        ["--no-such-option", "true"],
        ["-x", "true"],
        ["--help=x"],
        ["--preload"],
    ],
)
def test_misuse(forkserver, args):
    result = run(forkserver, *args)
    assert (result.returncode, result.stdout) == (125, "")
    assert is_one_line(result.stderr) and "try 'forkserver run --help'" in result.stderr


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1e3", "0x10", "1.2.3", "1 ", "9999999999"])
def test_bad_timeout(forkserver, text):
    result = run(forkserver, "--timeout", text, "true")
    assert result.returncode == 125 and is_one_line(result.stderr)


def test_preload_with_socket(forkserver, testmod):
    result = run(forkserver, "--socket", "/x", "--preload", testmod, "true")
    assert result.returncode == 125 and "--preload" in result.stderr


def test_options_end_at_the_first_operand(forkserver, testmod):
    assert run(forkserver, "echo", "--timeout", "x", "--").stdout == "--timeout x --\n"
    assert run(forkserver, "--", "printf", "%s", "--help").stdout == "--help"
    assert run(forkserver, "--call", f"{testmod}:echo", "a", "--help").stdout == "a\n--help\n"
    assert run(forkserver, f"--call={testmod}:echo", "--", "--help", "").stdout == "--help\n\n"


def test_name_of_an_entry(forkserver, build_module):
    module = build_module("name", '#include <stdio.h>\nint f(int c, char **v) { return !printf("%d %s", c, v[0]); }')
    assert run(forkserver, "--call", f"{module}:f").stdout == f"1 {module}:f"


@pytest.mark.parametrize("command", [[], ["run"], ["map"], ["serve"], ["stop"], ["ping"], ["stats"]])
def test_help(forkserver, command):
    result = subprocess.run([forkserver, *command, "--help"], capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("Usage: " + " ".join(["forkserver", *command]))
    with open("/dev/full", "w") as full:
        result = subprocess.run([forkserver, *command, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 125 and "No space left" in result.stderr


def test_main(forkserver):
    def call(*args):
        return subprocess.run([forkserver, *args], capture_output=True, text=True, timeout=LIMIT)

    assert call("--version").stdout.startswith("forkserver ")
    for args in [], ["no-such-command"], ["--no-such-option"]:
        result = call(*args)
        assert result.returncode == 125
        assert is_one_line(result.stderr) and "try 'forkserver --help'" in result.stderr


# ---- what the process sees ----


def test_standard_streams(forkserver, testmod):
    text = "line\n" * 100_000
    result = subprocess.run(
        [forkserver, "run", "--call", f"{testmod}:cat"], input=text, capture_output=True, text=True, timeout=LIMIT
    )
    assert result.returncode == 0 and result.stdout == text
    assert run(forkserver, "sh", "-c", "echo error >&2").stderr == "error\n"


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_closed_stream_stays_closed(forkserver, fd, tmp_path):
    out = tmp_path / "out"
    script = f'exec "$0" run sh -c "test -e /proc/\\$\\$/fd/{fd}; echo \\$? >{out}" {fd}>&-'
    subprocess.run(["sh", "-c", script, forkserver], check=True, timeout=LIMIT)
    assert out.read_text() == "1\n"


def test_inherited_fds(forkserver):
    result = subprocess.run(
        ["bash", "-c", '"$0" run cat <(echo one) /dev/fd/9 9< <(echo two)', forkserver],
        capture_output=True, text=True, timeout=LIMIT,
    )
    assert (result.stdout, result.stderr) == ("one\ntwo\n", "")


def test_no_other_fds(forkserver):
    assert run(forkserver, "sh", "-c", "ls /proc/$$/fd").stdout.split() == ["0", "1", "2"]


def test_environment_directory_umask(forkserver, testmod, tmp_path):
    result = run(forkserver, "--call", f"{testmod}:env", env={**os.environ, "A": "x y", "B": ""})
    assert {"A=x y", "B="} <= set(result.stdout.splitlines())
    result = run(forkserver, "--call", f"{testmod}:where", cwd=tmp_path, umask=0o027)
    fields = result.stdout.split()
    assert fields[4] == str(tmp_path) and int(fields[5], 8) == 0o027


def test_group_and_session(forkserver, testmod):
    process = start(forkserver, "sh", "-c", "cat /proc/$$/stat /proc/$PPID/stat; read x", stdin=subprocess.PIPE)
    worker, server = (process.stdout.readline().rpartition(")")[2].split() for _ in range(2))
    mine, theirs = stat_fields("self"), stat_fields(process.pid)
    process.communicate("\n", timeout=LIMIT)
    PARENT, GROUP, SESSION = 1, 2, 3
    assert worker[GROUP] == theirs[GROUP] and worker[SESSION] == theirs[SESSION] == mine[SESSION]
    assert worker[PARENT] != str(process.pid)
    assert server[GROUP] != theirs[GROUP]


def test_signal_mask_and_ignored(forkserver, testmod):
    def prepare():
        signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR2])
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    result = run(forkserver, "--call", f"{testmod}:signals", preexec_fn=prepare)
    values = dict(line.split(":\t") for line in result.stdout.splitlines())
    assert int(values["SigBlk"], 16) == 1 << signal.SIGUSR2 - 1
    assert int(values["SigIgn"], 16) >> signal.SIGUSR1 - 1 & 1
    assert not int(values["SigIgn"], 16) >> signal.SIGINT - 1 & 1


def test_pipe_ends_when_the_worker_closes_its_end(forkserver):
    process = start(forkserver, "sh", "-c", "echo text; exec >&-; read x", stdin=subprocess.PIPE)
    assert process.stdout.read() == "text\n"  # until the end
    assert process.poll() is None
    process.stdin.close()
    process.wait(LIMIT)


# ---- signals ----

FORWARDED = "INT,QUIT,TERM,HUP,TSTP,CONT,WINCH,USR1,USR2,ALRM,RTMIN"


@pytest.mark.parametrize("name", [name for name in FORWARDED.split(",") if name != "TERM"])
def test_signal_to_run_alone(forkserver, name):
    process, worker = start_witness(forkserver, FORWARDED)
    process.send_signal(getattr(signal, "SIG" + name))
    assert process.stdout.readline() == f"SIG{name}\n"
    process.terminate()
    assert process.communicate(timeout=LIMIT)[0] == "SIGTERM\n"
    assert process.returncode == 42


def test_default_death(forkserver):
    for number in signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1:
        process = start(forkserver, "sh", "-c", "echo ready; exec sleep 60")
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(LIMIT) == -number
        process.stdout.close()


def test_signal_of_the_workers_own(forkserver):
    """A worker that signals its group has got that signal itself: once is enough."""
    code = WITNESS.replace('say("ready"', "os.kill(0, signal.SIGUSR1)\nsay('ready'")
    process = start(forkserver, sys.executable, "-c", code, "USR1,TERM", start_new_session=True)
    assert process.stdout.readline() == "SIGUSR1\n"
    assert process.stdout.readline().startswith("ready")
    time.sleep(0.2)
    process.terminate()
    assert process.communicate(timeout=LIMIT)[0] == "SIGTERM\n"


def test_signal_of_the_workers_own_before_its_start_is_known(forkserver, build_module, tmp_path):
    mark, go = tmp_path / "mark", tmp_path / "go"
    module = build_module(
        "early",
        f"""#include <fcntl.h>
            #include <signal.h>
            #include <stdio.h>
            #include <unistd.h>
            static volatile sig_atomic_t n, over;
            static void count(int number) {{ n++; }}
            static void end(int number) {{ over = 1; }}
            __attribute__((constructor)) static void load(void) {{
                close(open("{mark}", O_CREAT | O_WRONLY, 0600));
                while (access("{go}", F_OK) < 0)
                    usleep(1000);
            }}
            int early(int argc, char **argv) {{
                signal(SIGUSR1, count);
                signal(SIGTERM, end);
                kill(0, SIGUSR1);
                puts("ready");
                fflush(stdout);
                while (!over)
                    usleep(1000);
                printf("%d\\n", (int)n);
                return 0;
            }}""",
    )
    process = start(forkserver, "--call", f"{module}:early", start_new_session=True)
    assert eventually(mark.exists)
    process.send_signal(signal.SIGSTOP)
    assert eventually(lambda: state(process.pid) == "T")
    go.touch()
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGCONT)
    process.terminate()
    assert process.communicate(timeout=LIMIT)[0] == "1\n"


def test_nohup(forkserver):
    process = start(
        forkserver, "sh", "-c", "grep SigIgn /proc/$$/status; read x; exit 5",
        stdin=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    ignored = int(process.stdout.readline().split()[1], 16)
    assert ignored >> signal.SIGHUP - 1 & 1
    process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    assert process.poll() is None
    process.communicate("\n", timeout=LIMIT)
    assert process.returncode == 5


def test_sigkill_takes_the_worker_along(forkserver):
    process = start(forkserver, "sh", "-c", "echo $$; exec sleep 1000")
    worker = int(process.stdout.readline())
    process.kill()
    process.wait(LIMIT)
    process.stdout.close()
    assert eventually(lambda: state(worker) in (None, "Z"))


def test_server_dies_before_the_worker(forkserver):
    script = "echo $$ $PPID; read x; exit 6"
    process = start(forkserver, "sh", "-c", script, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    worker, server = map(int, process.stdout.readline().split())
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: stat_fields(worker)[1] != str(server))
    _, errors = process.communicate("\n", timeout=LIMIT)
    # The status if the kernel keeps it for us, else that it was lost; never another one.
    assert process.returncode == 6 or (process.returncode == 125 and "stage status" in errors)


def test_signal_while_preloading(forkserver, build_module, tmp_path):
    mark = tmp_path / "mark"
    module = build_module(
        "slow",
        f"""#include <fcntl.h>
            #include <unistd.h>
            __attribute__((constructor)) static void f(void) {{
                open("{mark}", O_CREAT | O_WRONLY, 0600);
                for (;;)
                    pause();
            }}""",
    )
    process = start(forkserver, "--preload", module, "true")
    assert eventually(mark.exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == -signal.SIGINT
    process.stdout.close()


def wait_for(pid, flags=0):
    """waitpid within the time limit."""
    result = []
    assert eventually(lambda: result.append(os.waitpid(pid, flags | os.WNOHANG)) or result[-1][0] == pid, LIMIT)
    return result[-1][1]


def test_stop_and_continue_run_alone(forkserver):
    process = start(forkserver, "sh", "-c", "echo $$; read x; exit 3", stdin=subprocess.PIPE)
    worker = int(process.stdout.readline())
    for _ in range(3):
        process.send_signal(signal.SIGTSTP)
        status = wait_for(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGTSTP
        assert state(worker) == "T"
        process.send_signal(signal.SIGCONT)
        assert eventually(lambda: state(worker) != "T" and state(process.pid) != "T")
    process.communicate("\n", timeout=LIMIT)
    assert process.returncode == 3


# ---- terminals ----

# A shell's job control: runs argv as a job on the terminal; says on fd 3 what became of it, and continues it, in the
# foreground, for each byte on fd 4.
SHELL = r"""
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
foreground = sys.argv[1] == "foreground"
ready, go = os.pipe()
job = os.fork()
if job == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.setpgid(0, 0)
    os.close(go)
    os.read(ready, 1)
    os.close(ready), os.close(3), os.close(4)
    os.execv(sys.argv[2], sys.argv[2:])
try:
    os.setpgid(job, job)
except OSError:
    pass
if foreground:
    os.tcsetpgrp(0, job)
os.close(go)
while True:
    status = os.waitpid(job, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, os.getpgrp())
    os.write(3, b"stopped %d\n" % os.WSTOPSIG(status))
    if not os.read(4, 1):
        sys.exit()
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
os.tcsetpgrp(0, os.getpgrp())
os.write(3, b"ended %d\n" % os.waitstatus_to_exitcode(status))
"""


class Terminal:
    """A pseudo-terminal with such a shell on it; or, with shell=None, the command itself as session leader."""

    def __init__(self, command, shell="foreground"):
        self.master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        self.reports, report = os.pipe()
        order, self.orders = os.pipe()
        argv = [sys.executable, "-c", SHELL, shell, *command] if shell else command

        def prepare():
            if shell:
                high = fcntl.fcntl(order, fcntl.F_DUPFD, 20)  # it may be fd 3
                os.dup2(report, 3), os.dup2(high, 4)
            else:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=prepare,
            pass_fds=(3, 4) if shell else (),
        )
        os.close(slave), os.close(report), os.close(order)

    def read_line(self, fd=None):
        fd = self.master if fd is None else fd
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([fd], [], [], LIMIT)[0], f"nothing came after {line}"
            byte = os.read(fd, 1)
            assert byte, f"the end came after {line}"
            line += byte
        return line.decode().strip()

    def report(self):
        return self.read_line(self.reports)

    def has_report(self, seconds):
        return bool(select.select([self.reports], [], [], seconds)[0])

    def type(self, text):
        os.write(self.master, text)

    def resume(self):
        os.write(self.orders, b"x")

    def close(self):
        for fd in self.master, self.reports, self.orders:
            if fd >= 0:
                os.close(fd)
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def terminal(forkserver):
    open_ones = []

    def open_terminal(*command, **options):
        open_ones.append(Terminal([forkserver, "run", *command], **options))
        return open_ones[-1]

    yield open_terminal
    for one in open_ones:
        one.close()


def witness(terminal, names):
    one = terminal(sys.executable, "-c", WITNESS, names)
    word, pid = one.read_line().split()
    assert word == "ready"
    # `run` has heard of it too, and let go of the terminal; a signal that comes before that may come twice.
    assert eventually(lambda: os.readlink(f"/proc/{one_child(one)}/fd/0") == "/dev/null")
    time.sleep(0.1)
    return one, int(pid)


@pytest.mark.parametrize("key, number", [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)])
def test_terminal_key_ends_the_program(terminal, key, number):
    one = terminal("sh", "-c", "echo ready; exec sleep 60")
    one.read_line()
    one.type(key)
    assert one.report() == f"ended {-number}"


def test_terminal_key_comes_once(terminal):
    one, _ = witness(terminal, "INT,TERM,USR1")
    for _ in range(3):
        one.type(b"\x03")
        assert one.read_line() == "SIGINT"
        time.sleep(0.1)
    os.kill(one_child(one), signal.SIGTERM)
    assert one.read_line() == "SIGTERM"  # and no second SIGINT before
    assert one.report() == "ended 42"


def one_child(one):
    """The pid of `forkserver run`: the shell's only child."""
    with open(f"/proc/{one.process.pid}/task/{one.process.pid}/children") as file:
        return int(file.read().split()[0])


def test_terminal_size(terminal):
    one, _ = witness(terminal, "WINCH,TERM")
    fcntl.ioctl(one.master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 99, 0, 0))
    assert one.read_line() == "SIGWINCH"
    assert one.read_line() == "columns 99"
    time.sleep(0.1)
    os.kill(one_child(one), signal.SIGTERM)
    assert one.read_line() == "SIGTERM"
    assert one.report() == "ended 42"


def is_settled(pid):
    """It sleeps, and no signal waits for it: `run` has passed on that it was continued, which would undo the next
    stop."""
    fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return fields["State"].startswith("S") and int(fields["SigPnd"], 16) == int(fields["ShdPnd"], 16) == 0


def test_terminal_stop_and_foreground(terminal):
    one = terminal("sh", "-c", "echo $$; read x; echo got $x")
    worker = int(one.read_line())
    for _ in range(3):
        one.type(b"\x1a")
        assert one.report() == f"stopped {int(signal.SIGTSTP)}"
        assert state(worker) == "T"
        one.resume()
        assert eventually(lambda: state(worker) == "S" and is_settled(one_child(one)))
    one.type(b"text\n")
    assert one.read_line() == "got text"
    assert one.report() == "ended 0"


def test_terminal_stop_is_told_when_the_program_has_stopped(terminal):
    """An editor resets the terminal before it stops; the shell mustn't take the terminal away meanwhile."""
    code = (
        "import os, signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(0.5); os.write(1, b'reset\\n')\n"  # not print(), which may be what is interrupted
        "    os.kill(os.getpid(), signal.SIGSTOP); os.write(1, b'back\\n'); sys.exit()\n"
        "signal.signal(signal.SIGTSTP, stop)\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    one = terminal(sys.executable, "-c", code)
    one.read_line()
    one.type(b"\x1a")
    assert not one.has_report(0.3)
    assert one.read_line() == "reset"
    assert one.report().startswith("stopped")
    one.resume()
    assert one.read_line() == "back"
    assert one.report() == "ended 0"


def test_terminal_stop_that_is_ignored(terminal):
    one = terminal("sh", "-c", "trap '' TSTP; echo ready; read x")
    one.read_line()
    one.type(b"\x1a")
    assert not one.has_report(0.5)
    one.type(b"\n")
    assert one.report() == "ended 0"


@pytest.mark.parametrize("options", [[], ["--timeout", "600"]])
def test_terminal_program_that_stops_itself(terminal, options):
    one = terminal(*options, "sh", "-c", "echo ready; kill -STOP $$; echo on")
    one.read_line()
    assert one.report() == f"stopped {int(signal.SIGSTOP)}"
    one.resume()
    assert one.read_line() == "on"
    assert one.report() == "ended 0"


def test_terminal_is_lent_to_a_group_of_its_own(terminal):
    one = terminal("--timeout", "600", "sh", "-c", "echo ready; read x; echo got $x; read y; echo got $y")
    one.read_line()
    one.type(b"first\n")
    assert one.read_line() == "got first"
    one.type(b"\x1a")
    assert one.report() == f"stopped {int(signal.SIGTSTP)}"
    one.resume()
    one.type(b"second\n")
    assert one.read_line() == "got second"
    assert one.report() == "ended 0"


def test_terminal_that_is_lent_is_interrupted(terminal):
    one = terminal("--timeout", "600", "sh", "-c", "read x; echo got $x; exec sleep 1000")
    one.type(b"line\n")
    one.read_line()
    one.type(b"\x03")
    assert one.report() == f"ended {-signal.SIGINT}"


def test_terminal_key_ends_a_shells_loop(forkserver, terminal):
    """bash goes on after a command that exits, and ends with one that died by SIGINT."""
    script = f"for i in 1 2 3; do echo turn $i; {forkserver} run sh -c 'echo ready; exec sleep 1000'; done"
    one = Terminal(["/bin/bash", "-c", script + "; echo finished"])
    try:
        assert [one.read_line(), one.read_line()] == ["turn 1", "ready"]
        one.type(b"\x03")
        assert one.report() == f"ended {-signal.SIGINT}"
    finally:
        one.close()


def test_stop_of_a_program_that_is_stopped_already(forkserver):
    """Somebody has stopped the program alone, which was not followed; ^Z after `fg` would do nothing else."""
    process = start(forkserver, "sh", "-c", "echo $$; read x; exit 3", stdin=subprocess.PIPE)
    worker = int(process.stdout.readline())
    os.kill(worker, signal.SIGSTOP)
    assert eventually(lambda: state(worker) == "T")
    process.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(wait_for(process.pid, os.WUNTRACED))
    process.send_signal(signal.SIGCONT)
    process.communicate("\n", timeout=LIMIT)
    assert process.returncode == 3


def test_stop_that_nobody_could_undo_is_not_followed(forkserver):
    """Without a terminal: the process that stopped the worker by its pid may continue it by its pid."""
    process = start(forkserver, "sh", "-c", "echo $$; read x; exit 3", stdin=subprocess.PIPE)
    worker = int(process.stdout.readline())
    os.kill(worker, signal.SIGSTOP)
    assert eventually(lambda: state(worker) == "T")
    os.kill(worker, signal.SIGCONT)
    process.communicate("\n", timeout=LIMIT)
    assert process.returncode == 3


def as_pid_1(*command):
    return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", *map(str, command)], capture_output=True,
                          text=True, timeout=LIMIT)


@pytest.mark.skipif(os.getuid() != 0, reason="needs a pid namespace")
def test_as_pid_1(forkserver):
    code = ("pids=$(for i in 1 2 3; do (sh -c 'sleep 0.1 >/dev/null & echo $!'); done); "
            "for i in $pids; do while [ -e /proc/$i ]; do sleep 0.01; done; done; echo reaped; exit 3")
    result = as_pid_1(forkserver, "run", "sh", "-c", code)
    assert (result.stdout, result.returncode) == ("reaped\n", 3), result.stderr
    result = as_pid_1(forkserver, "run", "sh", "-c", "kill -TERM 1; exec sleep 1000")
    assert result.returncode == 128 + signal.SIGTERM


def test_background_read_stops(terminal):
    one = terminal("cat", shell="background")
    assert one.report() == f"stopped {int(signal.SIGTTIN)}"
    one.resume()
    one.type(b"text\n")
    assert one.read_line() == "text"
    one.type(b"\x04")
    assert one.report() == "ended 0"


@pytest.mark.parametrize("shell", ["foreground", None])
def test_hang_up_of_the_terminal(terminal, shell):
    """Without a shell `run` leads the session, and the kernel tells nobody else."""
    one = terminal("sh", "-c", "echo $$; exec sleep 1000", shell=shell)
    worker = int(one.read_line())
    os.close(one.master)
    one.master = -1
    assert eventually(lambda: state(worker) in (None, "Z"))
    one.process.wait(LIMIT)
    if shell is None:
        assert one.process.returncode == -signal.SIGHUP


def test_inherited_fd_at_the_hard_limit(forkserver, tmp_path):
    """No number lies above it to which our own fds could go."""
    code = f"ulimit -n 256; ulimit -Hn 256; exec 255>log; exec {forkserver} run bash -c 'echo written >&255'"
    result = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "log").read_text() == "written\n"


def test_small_stack(forkserver, testmod, sanitized):
    if sanitized:
        pytest.skip("the sanitizer's frames are larger")
    code = f"ulimit -s 96; {forkserver} run --preload {testmod} --call {testmod}:exit_with 3; echo $?"
    result = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=LIMIT)
    assert (result.stdout, result.stderr) == ("3\n", "")


def test_inherited_fd_that_a_module_uses(forkserver, module, testmod, tmp_path):
    """An entry point's process has the module's; a program the caller's."""
    code = 'exec 77>log; {} run --preload {} "$@"'.format(forkserver, module("holds_fd"))
    entry = subprocess.run(["bash", "-c", code, "bash", "--call", f"{testmod}:exit_with", "3"], cwd=tmp_path,
                           capture_output=True, text=True, timeout=LIMIT)
    assert (entry.returncode, entry.stderr) == (3, "")
    program = subprocess.run(["bash", "-c", code, "bash", "bash", "-c", "echo written >&77"], cwd=tmp_path,
                             capture_output=True, text=True, timeout=LIMIT)
    assert (program.returncode, program.stderr, (tmp_path / "log").read_text()) == (0, "", "written\n")
