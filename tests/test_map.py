# SPDX-License-Identifier: MIT
"""`forkserver map`: items, outputs, reports, signals, and what each failure gets."""

import fcntl
import json
import os
import pty
import re
import resource
import shlex
import signal
import subprocess
import termios
import threading
import time

import pytest

from leftovers import PATIENCE
from spawner import eventually

LIMIT = 60 * PATIENCE


@pytest.fixture(autouse=True)
def limit():
    """Nothing waits for ever, least of all for a line that doesn't come."""

    def stop(*_):
        raise TimeoutError(f"the test took more than {2 * LIMIT} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(2 * LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def endless():
    """Starts yes(1): the reading end of its pipe is given up with the fixture."""
    processes = []

    def start_yes():
        processes.append(subprocess.Popen(["yes"], stdout=subprocess.PIPE))
        return processes[-1].stdout

    yield start_yes
    for process in processes:
        process.stdout.close()
        process.kill()
        process.wait(LIMIT)


def command(forkserver, *args):
    return [forkserver, "map", *map(os.fsencode, map(lambda arg: arg if isinstance(arg, bytes) else str(arg), args))]


def run(forkserver, items, *args, **options):
    """Items: the input's bytes or text."""
    if "stdin" not in options:
        options["input"] = items if isinstance(items, bytes) else items.encode()
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run(command(forkserver, *args), timeout=LIMIT, **options)


def start(forkserver, *args, **options):
    for name in "stdin", "stdout", "stderr":
        options.setdefault(name, subprocess.PIPE)
    return subprocess.Popen(command(forkserver, *args), **options)


def results(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def interrupt_twice(process):
    """Two different ones, since a signal that is still pending isn't made pending again."""
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


# ---- items ----


def test_one_process_for_each_line(forkserver, testmod, tmp_path):
    report = tmp_path / "json"
    result = run(forkserver, "a\nb\nc\n", "--json", report, "--preload", testmod, "--call", f"{testmod}:echo")
    assert (result.returncode, result.stderr) == (0, b"")
    assert sorted(result.stdout.split()) == [b"a", b"b", b"c"]
    assert len({entry["pid"] for entry in results(report)}) == 3


def test_item_is_one_argument(forkserver):
    items = ["two words", "$HOME", "*", "'", '"', "`id`", "a\\tb", "-n", "--", "--help", " ", ""]
    result = run(forkserver, "\n".join(items) + "\n", "-k", "printf", "%s|")
    assert result.stdout.decode() == "".join(item + "|" for item in items)
    assert result.returncode == 0


def test_place(forkserver):
    """Wherever it stands, more than once, and then nothing is appended."""
    result = run(forkserver, "x\n{}\n", "-k", "printf", "[%s]", "{}", "a{}b{}", "{", "}", "{{}}")
    assert result.stdout == b"[x][axbx][{][}][{x}]" b"[{}][a{}b{}][{][}][{{}}]"


def test_place_in_program_is_literal(forkserver, tmp_path):
    script = tmp_path / "{}"
    script.write_text('#!/bin/sh\necho "$@"\n')
    script.chmod(0o755)
    assert run(forkserver, "x\n", script, "a").stdout == b"a x\n"


def test_place_for_entry(forkserver, testmod):
    result = run(forkserver, "x\n", "--preload", testmod, "--call", f"{testmod}:echo", "<{}>", "b")
    assert result.stdout == b"<x>\nb\n"
    assert run(forkserver, "x\n", "--call", f"{testmod}:name").stdout == f"2 {testmod}:name\n".encode()


def test_options_end_at_the_first_operand(forkserver):
    assert run(forkserver, "x\n", "echo", "-k", "--help").stdout == b"-k --help x\n"
    assert run(forkserver, "x\n", "-k", "--", "echo", "-0").stdout == b"-0 x\n"


@pytest.mark.parametrize("items, expected", [
    (b"", []),
    (b"\n", [b""]),
    (b"a", [b"a"]),
    (b"a\n", [b"a"]),
    (b"a\n\nb", [b"a", b"", b"b"]),
    (b"\xff\xfe\n\xc3\n", [b"\xff\xfe", b"\xc3"]),
    (b"a\r\n", [b"a\r"]),
])
def test_lines(forkserver, items, expected):
    result = run(forkserver, items, "-k", "printf", "%s\\n")
    assert (result.returncode, result.stdout) == (0, b"".join(item + b"\n" for item in expected))


@pytest.mark.parametrize("items, expected", [
    (b"a\0b\nc\0", [b"a", b"b\nc"]),
    (b"a\0\0b", [b"a", b"", b"b"]),
    (b"\n\0", [b"\n"]),
])
def test_nul_separated(forkserver, items, expected):
    for option in "-0", "--null":
        result = run(forkserver, items, option, "-k", "printf", "%s|")
        assert result.stdout == b"".join(item + b"|" for item in expected)


def test_nul_in_a_line(forkserver):
    result = run(forkserver, b"a\nb\0c\nd\n", "-j1", "echo")
    assert (result.returncode, result.stdout) == (125, b"a\n")
    assert b"line 2" in result.stderr and b"NUL" in result.stderr


def test_arg_file(forkserver, tmp_path):
    file = tmp_path / "items"
    file.write_text("a\nb\n")
    for option in ["-a", file], [f"--arg-file={file}"]:
        assert run(forkserver, "no\n", *option, "-k", "echo").stdout == b"a\nb\n"
    assert run(forkserver, "yes\n", "-a", "-", "echo").stdout == b"yes\n"
    with open(file) as stdin:  # a regular file as standard input, from where it stands
        stdin.seek(2)
        os.lseek(stdin.fileno(), 2, os.SEEK_SET)
        assert run(forkserver, None, "echo", stdin=stdin).stdout == b"b\n"


def test_no_arg_file(forkserver, tmp_path):
    result = run(forkserver, "", "-a", tmp_path / "nothing", "echo")
    assert result.returncode == 125
    assert str(tmp_path / "nothing").encode() in result.stderr and b"No such file" in result.stderr
    assert run(forkserver, "", "-a", tmp_path, "echo").returncode == 125


def test_many_items(forkserver, testmod, sanitized):
    count = 300 if sanitized else 2000
    items = [f"item {i}" for i in range(count)]
    result = run(forkserver, "\n".join(items), "-k", "-j", 8, "--preload", testmod, "--call", f"{testmod}:echo")
    assert result.stdout.decode().splitlines() == items
    assert result.returncode == 0


def test_item_too_long_for_exec(forkserver, tmp_path):
    """It fails as that item; an entry point can have it."""
    report = tmp_path / "json"
    items = b"a\n" + b"x" * 200_000 + b"\nb\n"
    result = run(forkserver, items, "-j1", "--json", report, "echo")
    assert (result.returncode, result.stdout) == (123, b"a\nb\n")
    assert result.stderr.count(b"\n") == 1 and b"Argument list too long" in result.stderr
    entry = results(report)[1]
    assert (entry["status"], entry["signal"], entry["pid"]) == (None, None, None)
    assert entry["error"]["stage"] == "exec" and entry["error"]["errno"] == 7 and entry["error"]["text"]


def test_long_item_for_entry(forkserver, testmod):
    item = b"x" * 1_000_000
    assert run(forkserver, item, "--call", f"{testmod}:echo").stdout == item + b"\n"


def test_endless_item(forkserver):
    with open("/dev/zero") as zero:
        for options in [], ["--dry-run"]:
            result = run(forkserver, None, *options, "echo", stdin=zero)
            assert result.returncode == 125
            assert b"item 1 " in result.stderr and b"16 MiB" in result.stderr


# ---- what an item finds ----


def test_item_finds(forkserver, testmod, tmp_path):
    def call(function, *args, **options):
        return run(forkserver, "x\n", "--preload", testmod, "--call", f"{testmod}:{function}", *args, **options).stdout

    assert call("cat") == b""
    assert run(forkserver, "/proc/self/fd/0\n", "readlink").stdout == b"/dev/null\n"
    assert call("inheritable").split() == [b"0", b"1", b"2"]
    assert b"COLOUR=blue\n" in call("env", env={**os.environ, "COLOUR": "blue"})
    pid, _, group, session, directory, _ = call("where", cwd=tmp_path).split()
    assert (group, int(session), directory) == (pid, os.getsid(0), os.fsencode(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert call("limits", "{}") == f"{soft} {hard}\n".encode()


def test_item_finds_signals(forkserver, testmod):
    """What we take for ourselves is no business of theirs; what was ignored before us is."""
    # posix_spawn(3), by which newer Pythons start programs, has its own two ignored where there is no clone3
    of_libc = 3 << 31

    def masks(**options):
        text = run(forkserver, "x\n", "--call", f"{testmod}:signals", **options).stdout.decode()
        return {line.split()[0]: int(line.split()[1], 16) & ~of_libc for line in text.splitlines()}

    assert masks() == {"SigBlk:": 0, "SigIgn:": 0, "SigCgt:": 0}
    ignored = masks(restore_signals=False)["SigIgn:"]
    assert ignored & (1 << (signal.SIGPIPE - 1))


# ---- how many at a time ----

WORK = 'echo + >>"$LOG"; sleep 0.01; echo - >>"$LOG"'


def greatest_depth(log):
    depth = greatest = 0
    for mark in lines(log):
        depth += 1 if mark == "+" else -1
        greatest = max(greatest, depth)
    return greatest


def test_jobs(forkserver, tmp_path):
    log = tmp_path / "log"
    run(forkserver, "x\n" * 20, "-j", 3, "sh", "-c", WORK, env={**os.environ, "LOG": str(log)})
    assert len(lines(log)) == 40 and greatest_depth(log) <= 3


def test_jobs_run_at_once(forkserver, tmp_path):
    """Five that wait for each other."""
    meet = 'touch "$0/$1"; until [ "$(ls "$0" | wc -l)" -eq 5 ]; do sleep 0.01; done'
    assert run(forkserver, "1\n2\n3\n4\n5\n", "-j5", "sh", "-c", meet, tmp_path).returncode == 0


def test_jobs_by_default(forkserver, tmp_path):
    log = tmp_path / "log"
    cpu = min(os.sched_getaffinity(0))
    run(forkserver, "x\n" * 10, "sh", "-c", WORK, env={**os.environ, "LOG": str(log)},
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    assert len(lines(log)) == 20 and greatest_depth(log) == 1


@pytest.mark.parametrize("hard", [False, True])
def test_many_open_files(forkserver, tmp_path, hard):
    """A hundred outputs of both kinds wait for the first item, with a limit that has no room for more than we take."""
    def limit():
        old = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256 if hard else old))

    work = """[ "$1" -gt 1 ] || until [ "$(ls "$0" | wc -l)" -ge "$2" ]; do sleep 0.01; done
              touch "$0/$1"; echo "$1"; echo "$1" >&2"""
    items = "".join(f"{i}\n" for i in range(1, 151))
    ahead = 50 if hard else 130
    result = run(forkserver, items, "-k", "-j", 16, "sh", "-c", work, tmp_path, "{}", ahead, preexec_fn=limit)
    assert (result.returncode, result.stdout.decode(), result.stderr.decode()) == (0, items, items)


def test_more_jobs_than_open_files(forkserver):
    """Then fewer run at a time, and it is said how many."""
    items = "".join(f"{i}\n" for i in range(100))
    result = run(forkserver, items, "-k", "-j", 1000, "echo",
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    assert (result.returncode, result.stdout.decode()) == (0, items)
    assert re.fullmatch(rb"forkserver: map: \d\d processes at a time, not 1000: .* 256 files .*\n", result.stderr)


# ---- outputs ----

@pytest.mark.parametrize("options, expected", [([], b"2\n1\n"), (["-k"], b"1\n2\n"), (["--ordered"], b"1\n2\n")])
def test_order(forkserver, tmp_path, options, expected):
    """The first item ends when the second one has: as soon as the third one runs."""
    work = """[ "$1" = 2 ] || touch "$0/$1"
              until [ "$1" != 1 ] || [ -e "$0/3" ]; do sleep 0.01; done
              [ "$1" = 3 ] || echo "$1\""""
    assert run(forkserver, "1\n2\n3\n", "-j2", *options, "sh", "-c", work, tmp_path).stdout == expected


def test_ordered_is_bounded(forkserver, tmp_path):
    """The first item never ends: the others don't run ahead without end, nor does the input."""
    work = 'touch "$0/$1"; [ "$1" != 0 ] || exec sleep 1000'
    read_end, write_end = os.pipe()
    process = start(forkserver, "-k", "-j2", "sh", "-c", work, tmp_path, stdin=read_end)
    os.close(read_end)
    os.set_blocking(write_end, False)
    written = []

    def feed():
        try:
            while True:
                os.write(write_end, b"%d\n" % len(written))
                written.append(0)
        except BlockingIOError:
            return len(os.listdir(tmp_path)) >= 64

    assert eventually(feed)
    assert not eventually(lambda: len(os.listdir(tmp_path)) > 8 * 2 + 64, 0.3)
    interrupt_twice(process)
    assert process.wait(LIMIT) == -signal.SIGINT
    os.close(write_end)
    assert process.communicate()[0] == b""


LOUD = """head -c 1048576 /dev/zero | tr '\\0' "$1"; head -c 1048576 /dev/zero | tr '\\0' "$1" >&2"""


def check_loud(text):
    assert len(text) == 6 << 20
    runs = [text[i] for i in range(0, len(text), 1 << 20)]
    assert sorted(runs) == list(b"abcdef")
    for i, byte in enumerate(runs):
        assert text.count(byte, i << 20, (i + 1) << 20) == 1 << 20


def test_outputs_do_not_interleave(forkserver):
    result = run(forkserver, "a\nb\nc\nd\ne\nf\n", "-j6", "sh", "-c", LOUD, "sh")
    check_loud(result.stdout)
    check_loud(result.stderr)


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_outputs_to_files(forkserver, tmp_path, mode):
    for name in "out", "err":
        with open(tmp_path / name, "wb") as file:
            file.write(b"" if mode == "wb" else b"kept")
    with open(tmp_path / "out", mode) as out, open(tmp_path / "err", mode) as err:
        run(forkserver, "a\nb\nc\nd\ne\nf\n", "-j6", "sh", "-c", LOUD, "sh", stdout=out, stderr=err)
    for name in "out", "err":
        text = (tmp_path / name).read_bytes()
        assert text.startswith(b"kept") == (mode == "ab")
        check_loud(text.removeprefix(b"kept"))


def test_output_that_does_not_block(forkserver):
    """Another process that shares our standard output made it so."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    process = start(forkserver, "sh", "-c", "head -c 1000000 /dev/zero", stdout=write_end)
    os.close(write_end)
    process.stdin.write(b"x\n")
    process.stdin.close()
    with open(read_end, "rb") as pipe:
        assert len(pipe.read()) == 1_000_000
    assert process.wait(LIMIT) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_late_writers_do_not_reach_other_items(forkserver, tmp_path):
    """What a process that an item leaves behind prints is the item's: with its tag, when it comes."""
    work = """echo "$1"
              [ "$1" != 1 ] || (until [ -e "$0/go" ]; do sleep 0.01; done; echo late; touch "$0/gone") &
              [ "$1" != 2 ] || { touch "$0/go"; until [ -e "$0/gone" ]; do sleep 0.01; done; }"""
    result = run(forkserver, "1\n2\n3\n", "-j1", "--tag", "sh", "-c", work, tmp_path)
    assert result.stdout == b"1\t1\n1\tlate\n2\t2\n3\t3\n"


def test_tag(forkserver):
    result = run(forkserver, "a\nb c\n", "-k", "--tag", "sh", "-c", 'printf "1\\n\\n3 $1"; echo e >&2', "sh")
    assert result.stdout == b"a\t1\na\t\na\t3 a\nb c\t1\nb c\t\nb c\t3 b c\n"
    assert result.stderr == b"a\te\nb c\te\n"


def test_tag_of_long_lines(forkserver):
    """Longer than any buffer, and of sizes around those."""
    work = 'head -c "$1" /dev/zero | tr "\\0" x; echo; echo y'
    for size in 65533, 65534, 65535, 65536, 65537, 131072, 3_000_000:
        result = run(forkserver, f"{size}\n", "--tag", "sh", "-c", work, "sh")
        tag = b"%d\t" % size
        assert result.stdout == tag + b"x" * size + b"\n" + tag + b"y\n"


def test_ungroup(forkserver, tmp_path):
    """What an item prints is there before it ends."""
    work = f"echo early; until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo late"
    process = start(forkserver, "-u", "sh", "-c", work)
    process.stdin.write(b"x\n")
    process.stdin.close()
    assert process.stdout.readline() == b"early\n"
    (tmp_path / "go").touch()
    assert process.stdout.read() == b"late\n"
    assert process.wait(LIMIT) == 0
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("options, names", [([], b"standard output"), (["--json", "/dev/full"], b"/dev/full")])
def test_full_disk(forkserver, options, names):
    with open("/dev/full", "w") as full:
        result = run(forkserver, "a\nb\n", *options, "echo", stdout=subprocess.PIPE if options else full)
    assert result.returncode == 125
    assert result.stderr.count(b"\n") == 1 and names in result.stderr and b"No space left" in result.stderr


def test_full_disk_ends_endless_input(forkserver, endless):
    with open("/dev/full", "w") as full:
        for options in [], ["--dry-run"]:
            assert run(forkserver, None, *options, "echo", stdin=endless(), stdout=full).returncode == 125


def test_starts_at_once(forkserver, testmod):
    """Each item runs and is shown before the next one comes."""
    process = start(forkserver, "-k", "--preload", testmod, "--call", f"{testmod}:echo")
    for item in b"a\n", b"b\n", b"c\n":
        process.stdin.write(item)
        process.stdin.flush()
        assert process.stdout.readline() == item
    assert process.communicate()[0] == b""
    assert process.returncode == 0


@pytest.mark.parametrize("options", [[], ["-k"], ["-u"], ["--tag"], ["--dry-run"], ["-j8"]])
@pytest.mark.parametrize("ignored", [False, True])
def test_endless_input_into_head(forkserver, endless, options, ignored):
    """Promptly, and nothing is left; also for a parent that ignores SIGPIPE, as Python does."""
    process = start(forkserver, *options, "echo", stdin=endless(), stderr=subprocess.DEVNULL,
                    restore_signals=not ignored)
    for _ in range(3):
        assert process.stdout.readline().strip() in (b"y", b"y\ty", b"echo y")
    process.stdout.close()
    assert process.wait(LIMIT) == -signal.SIGPIPE


def memory(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


@pytest.mark.parametrize("options", [[], ["-k", "--tag"]])
def test_memory_is_bounded(forkserver, testmod, sanitized, endless, options):
    process = start(forkserver, *options, "--preload", testmod, "--call", f"{testmod}:echo", stdin=endless())
    sizes = []
    for _ in range(2):
        for _ in range(300 if sanitized else 1500):
            assert process.stdout.readline()
        sizes.append(memory(process.pid))
    process.stdout.close()
    assert process.wait(LIMIT) == -signal.SIGPIPE
    process.stderr.close()
    if not sanitized:  # which keeps freed memory for a while
        assert sizes[1] - sizes[0] < 512


def test_reads_only_items_for_free_slots(forkserver, tmp_path):
    running = tmp_path / "running"
    read_end, write_end = os.pipe()
    process = start(forkserver, "-j1", "sh", "-c", f"touch {running}; exec sleep 1000", stdin=read_end)
    os.close(read_end)
    os.set_blocking(write_end, False)
    written = 0

    def feed():
        nonlocal written
        try:
            written += os.write(write_end, b"x\n" * 2000)
        except BlockingIOError:
            pass
        return written > 3 * 65536  # the pipe holds 64 KiB, and map reads as much at a time

    feed()
    assert eventually(running.exists)
    assert not eventually(feed, 0.5)
    interrupt_twice(process)
    assert process.wait(LIMIT) == -signal.SIGINT
    os.close(write_end)
    process.communicate()


def test_waits_without_spinning(forkserver):
    """The input has hung up while its items still wait."""
    process = start(forkserver, "-j1", "sleep")
    process.stdin.write(b"%g\n" % (0.7 * PATIENCE) * 2)
    process.stdin.close()
    assert process.stdout.read() == process.stderr.read() == b""
    process.stdout.close()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_utime + usage.ru_stime < 0.6 * PATIENCE  # of a wait of more than twice that


# ---- failures ----


def test_failures(forkserver, testmod):
    result = run(forkserver, "0\n1\n0\n7\n", "--preload", testmod, "--call", f"{testmod}:exit_with")
    assert (result.returncode, result.stdout, result.stderr) == (
        123, b"", b"forkserver: map: 2 of 4 items failed, the first: '1' (exit code 1)\n")


def test_death_by_signal(forkserver, tmp_path):
    report = tmp_path / "json"
    work = '[ "$1" != bad ] || { ulimit -c 0; kill -SEGV $$; }; echo "$1"'
    result = run(forkserver, "a\nbad\nb\n", "-j1", "--json", report, "sh", "-c", work, "sh")
    assert (result.returncode, result.stdout) == (123, b"a\nb\n")
    assert result.stderr == b"forkserver: map: 'bad': killed by SIGSEGV\n"
    assert [(entry["item"], entry["status"], entry["signal"]) for entry in results(report)] == [
        ("a", 0, None), ("bad", None, signal.SIGSEGV), ("b", 0, None)]


def test_complaint_about_a_strange_item(forkserver, testmod):
    """The reason is seen however long the item is, and nothing moves the cursor."""
    for item in b"x" * 5000, b"\x1b[2J\nforkserver: all is well\n":
        result = run(forkserver, item, "-0", "--call", f"{testmod}:die_by", 9)
        assert result.stderr.endswith(b"killed by SIGKILL\n") and result.stderr.count(b"\n") == 1
        assert b"\x1b" not in result.stderr and len(result.stderr) < 400


def test_program_not_found(forkserver, endless):
    for name in "/no/such/program", "no-such-program", "":
        result = run(forkserver, None, name, stdin=endless())
        assert result.returncode == 127
        assert name.encode() in result.stderr and result.stderr.count(b"\n") == 1


def test_program_cannot_be_run(forkserver, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    for path in plain, tmp_path:
        result = run(forkserver, "a\nb\n", path)
        assert result.returncode == 126
        assert str(path).encode() in result.stderr and result.stderr.count(b"\n") == 1


def test_bad_entry(forkserver, testmod):
    for entry, names in (
        (f"{testmod}:no_such_function", "no_such_function"),
        ("/no/such/module.so:main", "/no/such/module.so"),
        ("nonsense", "nonsense"),
        (":", "':'"),
    ):
        result = run(forkserver, "a\nb\n", "--call", entry)
        assert (result.returncode, result.stdout) == (125, b"")
        assert names.encode() in result.stderr and result.stderr.count(b"\n") == 1


def test_bad_preload(forkserver, testmod, module):
    for path in "/no/such/module.so", module("not_a_module"), module("crash_on_load"):
        result = run(forkserver, "a\nb\n", "--preload", testmod, "--preload", path, "echo")
        assert (result.returncode, result.stdout) == (125, b"")
        assert b"stage preload" in result.stderr and result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("args", [
    [], ["-j"], ["-j", "x", "echo"], ["-j", "1.5", "echo"], ["--halt", "0", "echo"],
    ["--timeout", "x", "echo"], ["--no-such-option", "echo"], ["--tag", "--ungroup", "echo"],
    ["--json", "/no/such/directory/file", "echo"], ["--socket", "/no/such/socket", "echo"],
    ["--server-uid", "x", "echo"],
])
def test_misuse(forkserver, args):
    result = run(forkserver, "a\n", *args)
    assert (result.returncode, result.stdout) == (125, b"")
    assert result.stderr.startswith(b"forkserver: ") and result.stderr.count(b"\n") == 1


def test_help(forkserver):
    result = run(forkserver, "", "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    for option in ("-j", "-0", "-a", "-k", "--tag", "-u", "--dry-run", "--timeout", "--halt", "--json", "--preload",
                   "--call", "--socket", "--server-uid", "--progress"):
        assert option in result.stdout.decode()


def test_empty_input_starts_nothing(forkserver):
    assert run(forkserver, "", "--preload", "/no/such/module.so", "/no/such/program").returncode == 0


def test_timeout(forkserver, testmod, tmp_path):
    report = tmp_path / "json"
    result = run(forkserver, "0\n1000\n", "-k", "--timeout", "0.3", "--json", report, "--call", f"{testmod}:sleep")
    assert result.returncode == 123
    assert result.stderr == b"forkserver: map: '1000': killed after its time limit\n"
    short, long = results(report)
    assert "timed_out" not in short and short["status"] == 0
    assert (long["timed_out"], long["status"], long["signal"]) == (True, None, signal.SIGKILL)


def test_halt(forkserver, tmp_path):
    log = tmp_path / "log"
    work = f'echo "$1" >>{log}; exit "$1"'
    result = run(forkserver, "0\n1\n0\n1\n0\n1\n", "-j1", "--halt", 2, "sh", "-c", work, "sh")
    assert result.returncode == 123
    assert lines(log) == ["0", "1", "0", "1"]


def test_halt_lets_running_items_finish(forkserver, tmp_path):
    """Also where the failure's own turn to be shown has not come."""
    log = tmp_path / "log"
    work = f"""echo "$1" >>{log}
               [ "$1" != slow ] || until grep -q bad {log}; do sleep 0.01; done
               [ "$1" != bad ] || exit 1
               [ "$1" = slow ] && sleep 0.3 && echo finished"""
    result = run(forkserver, "slow\nbad\n" + "more\n" * 50, "-k", "-j2", "--halt", 1, "sh", "-c", work, "sh")
    assert (result.returncode, result.stdout) == (123, b"finished\n")
    assert sorted(lines(log)) == ["bad", "slow"]


# ---- the dry run ----


def test_dry_run(forkserver, testmod, tmp_path):
    items = ["a b", "it's", "-x", "", "plain", '"', "$x", "*", "\\"]
    result = run(forkserver, "\n".join(items) + "\n", "--dry-run", "touch", tmp_path / "x", "p{}q", "r s")
    assert (result.returncode, result.stderr) == (0, b"")
    assert [shlex.split(line) for line in result.stdout.decode().splitlines()] == [
        ["touch", str(tmp_path / "x"), f"p{item}q", "r s"] for item in items]
    assert not (tmp_path / "x").exists()
    result = run(forkserver, "x\n", "--dry-run", "--call", f"{testmod}:echo")
    assert result.stdout == f"{shlex.quote(testmod + ':echo')} x\n".encode()


def test_dry_run_streams(forkserver):
    process = start(forkserver, "--dry-run", "echo")
    process.stdin.write(b"a\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"echo a\n"
    process.communicate()
    assert process.returncode == 0


# ---- JSON ----


def test_json(forkserver, testmod, tmp_path):
    report = tmp_path / "json"
    before = time.time()
    run(forkserver, "50\n", "--json", report, "--preload", testmod, "--call", f"{testmod}:burn")
    after = time.time()
    (entry,) = results(report)
    assert set(entry) == {"item", "pid", "status", "signal", "start", "end", "rusage"}
    assert (entry["item"], entry["status"], entry["signal"]) == ("50", 0, None)
    assert entry["pid"] > 1
    assert before - 0.001 <= entry["start"] <= entry["end"] <= after + 0.001
    usage = entry["rusage"]
    assert set(usage) == {"utime", "stime", "maxrss", "minflt", "majflt"}
    assert 0.04 <= usage["utime"] + usage["stime"]
    assert usage["maxrss"] > 100 and usage["minflt"] > 0


def test_json_of_any_bytes(forkserver, tmp_path):
    """Every item comes back byte by byte, and each object stands on a line."""
    items = [bytes([byte]) for byte in range(1, 256)] + [
        b'"\\\n\t/', "äß€😀".encode(), b"",
        b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\xf0\x9f\x98"]
    report = tmp_path / "json"
    assert run(forkserver, b"\0".join(items) + b"\0", "-0j1", "--json", report, "true").returncode == 0
    assert [os.fsencode(entry["item"]) for entry in results(report)] == items


def test_json_is_written_at_once(forkserver, tmp_path):
    report = tmp_path / "json"
    process = start(forkserver, "--json", report, "true")
    process.stdin.write(b"a\n")
    process.stdin.flush()
    assert eventually(lambda: report.exists() and report.read_text().endswith("}\n"))
    assert results(report)[0]["item"] == "a"
    process.communicate()


# ---- signals ----


@pytest.fixture
def start_endless(forkserver, endless, tmp_path):
    """Endless items, of which `count` run: each has made a file of its pid."""

    def start_and_wait(work, *options, count=2):
        directory = tmp_path / "running"
        directory.mkdir()
        work = f'touch "$0/$$"; {work}'
        process = start(forkserver, "-j", count, *options, "sh", "-c", work, directory, stdin=endless())
        assert eventually(lambda: len(os.listdir(directory)) == count)
        return process, directory

    return start_and_wait


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_lets_running_items_finish(start_endless, tmp_path, number):
    work = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo finished"
    process, directory = start_endless(work)
    process.send_signal(number)
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out, err) == (-number, b"finished\n" * 2, b"")
    assert len(os.listdir(directory)) == 2


def test_second_signal_kills(start_endless, tmp_path):
    """Those in the items' groups as well: the terminal's ^C would have reached them."""
    report = tmp_path / "json"
    process, directory = start_endless("sleep 1000; echo no", "--json", report)
    interrupt_twice(process)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGINT
    assert out == b"" and err.count(b"killed by SIGKILL") == 2
    assert [(entry["status"], entry["signal"]) for entry in results(report)] == [(None, signal.SIGKILL)] * 2
    assert {str(entry["pid"]) for entry in results(report)} == set(os.listdir(directory))


def test_ignored_signals_stay_ignored(forkserver, tmp_path):
    """As nohup(1) has it."""
    work = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"
    process = start(forkserver, "sh", "-c", f"touch {tmp_path}/running; {work}",
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.stdin.write(b"a\n")
    process.stdin.flush()
    assert eventually((tmp_path / "running").exists)
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    process.communicate(timeout=LIMIT)
    assert process.returncode == 0


def test_signal_while_no_item_comes(forkserver):
    process = start(forkserver, "echo")
    process.stdin.write(b"a\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"a\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == -signal.SIGINT
    process.communicate()


def test_signals_while_a_module_loads(forkserver, tmp_path):
    source, slow = tmp_path / "slow.c", tmp_path / "slow.so"
    source.write_text(f"""#include <fcntl.h>
                          #include <unistd.h>
                          __attribute__((constructor)) static void load(void) {{
                                  close(open("{tmp_path}/loading", O_CREAT, 0600));
                                  for (int i = 0; i < 1000 && access("{tmp_path}/go", F_OK) != 0; i++)
                                          usleep(10000);
                          }}""")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", slow, source], check=True)
    process = start(forkserver, "--preload", slow, "touch", tmp_path / "ran")
    process.stdin.write(b"a\n")
    process.stdin.flush()
    assert eventually((tmp_path / "loading").exists)
    interrupt_twice(process)
    assert process.wait(LIMIT) == -signal.SIGINT
    (tmp_path / "go").touch()
    process.communicate()
    assert not (tmp_path / "ran").exists()


def test_signals_while_nobody_reads(start_endless):
    """`map … | less`: the write waits for as long as it pleases the reader."""
    process, _ = start_endless("head -c 1000000 /dev/zero", count=1)

    def is_blocked():
        with open(f"/proc/{process.pid}/wchan") as file:
            return "pipe" in file.read()

    if not eventually(is_blocked, 3):
        time.sleep(0.5)  # where the kernel doesn't tell
    process.send_signal(signal.SIGINT)
    assert eventually(lambda: process.send_signal(signal.SIGINT) or process.poll() is not None)
    assert process.returncode == -signal.SIGINT
    process.communicate()


# ---- on a terminal ----


class Terminal:
    """A map whose standard error is a terminal. With `controlling` its keys are signals as well; but then what was said
    last may get lost, as the terminal hangs up with its owner."""

    def __init__(self, forkserver, *args, stdin, controlling=False):
        self.master, self.slave = pty.openpty()

        def own():
            os.setsid()
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)

        self.process = start(forkserver, *args, stdin=stdin, stderr=self.slave, preexec_fn=own if controlling else None,
                             env={**os.environ, "TERM": "xterm"})
        self.text = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        try:
            while piece := os.read(self.master, 4096):
                self.text += piece
        except OSError:
            pass

    def press(self, key):
        os.write(self.master, key)

    def end(self):
        out = self.process.communicate(timeout=LIMIT)[0]
        os.close(self.slave)
        self.reader.join(LIMIT)
        os.close(self.master)
        return out


def test_terminal(forkserver, tmp_path):
    items = tmp_path / "items"
    items.write_text("0\n0\n1\n0")
    go = tmp_path / "go"
    work = f'[ "$1" = 0 ] || until [ -e {go} ]; do sleep 0.01; done; exit "$1"'
    with open(items) as stdin:
        terminal = Terminal(forkserver, "-j1", "sh", "-c", work, "sh", stdin=stdin)
        assert eventually(lambda: b"2 done, 0 failed" in terminal.text and b", 2 to go" in terminal.text)
        go.touch()
        terminal.end()
    assert terminal.process.returncode == 123
    summary = terminal.text.rpartition(b"\x1b[K")[2]
    assert summary.startswith(b"forkserver: map: 1 of 4 items failed, the first: '1' (exit code 1)\r\n"
                              b"forkserver: map: 4 done, 1 failed, ") and summary.endswith(b" s\r\n")


def test_terminal_with_a_pipe(forkserver):
    terminal = Terminal(forkserver, "echo", stdin=subprocess.PIPE)
    terminal.process.stdin.write(b"a\n")
    terminal.process.stdin.flush()
    assert eventually(lambda: b"1 done" in terminal.text)
    assert terminal.end() == b"a\n"
    assert b"to go" not in terminal.text and b"forkserver: map: 1 done, 0 failed" in terminal.text


def test_quiet_terminal(forkserver):
    terminal = Terminal(forkserver, "--quiet", "echo", stdin=subprocess.PIPE)
    terminal.process.stdin.write(b"a\n")
    assert terminal.end() == b"a\n"
    assert terminal.text == b""


def test_no_terminal(forkserver):
    assert run(forkserver, "a\n", "echo").stderr == b""
    text = run(forkserver, "0\n1\n", "--progress", "sh", "-c", "exit $0").stderr.decode().partition("\n")[2]
    assert text.startswith("forkserver: map: 2 done, 1 failed, ") and text.count("\n") == 1 and "/s, " in text


def test_ctrl_c_on_a_terminal(forkserver, endless, tmp_path):
    """The first one isn't for the items, though they run on the same terminal."""
    go, running = tmp_path / "go", tmp_path / "running"
    work = f"touch {running}; until [ -e {go} ]; do sleep 0.01; done; echo finished"
    terminal = Terminal(forkserver, "-j1", "sh", "-c", work, stdin=endless(), controlling=True)
    assert eventually(running.exists)
    terminal.press(b"\x03")
    assert eventually(lambda: b"^C" in terminal.text)
    go.touch()
    out = terminal.end()
    assert out.count(b"finished") >= 1 and terminal.process.returncode == -signal.SIGINT


def test_two_ctrl_c_on_a_terminal(forkserver, endless, tmp_path):
    running = tmp_path / "running"
    work = f"touch {running}; sleep 1000"
    terminal = Terminal(forkserver, "-j1", "sh", "-c", work, stdin=endless(), controlling=True)
    assert eventually(running.exists)
    assert eventually(lambda: terminal.press(b"\x03") or terminal.process.poll() is not None)
    terminal.end()
    assert terminal.process.returncode == -signal.SIGINT


# ---- a named server ----


@pytest.fixture
def serve(forkserver, tmp_path):
    """Starts a server at a socket; ends it."""
    processes = []

    def start_server(*args, **options):
        path = tmp_path / "socket"
        processes.append(subprocess.Popen([forkserver, "serve", "--socket", path, *args], stdin=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL, **options))
        ping = [forkserver, "ping", "--socket", path]
        assert eventually(lambda: subprocess.run(ping, capture_output=True).returncode == 0)
        return path

    yield start_server
    for process in processes:
        process.terminate()
        process.wait(LIMIT)


def test_named_server(forkserver, testmod, serve):
    path = serve("--preload", testmod)
    result = run(forkserver, "a\nb\n", "-k", "--socket", path, "--call", f"{testmod}:echo")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"a\nb\n", b"")
    wrong = run(forkserver, "a\n", "--socket", path, "--server-uid", os.getuid() + 1, "echo")
    assert (wrong.returncode, wrong.stdout) == (125, b"")
    both = run(forkserver, "a\n", "--socket", path, "--preload", testmod, "echo")
    assert (both.returncode, both.stdout) == (125, b"")


def test_named_server_that_is_full(forkserver, testmod, serve):
    """An item that the server has no room for waits for one of ours to end, and that is said once."""
    path = serve("--preload", testmod, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80)))
    result = run(forkserver, "0.02\n" * 90, "-j", 60, "--socket", path, "--call", f"{testmod}:sleep")
    assert result.returncode == 0
    assert re.fullmatch(rb"forkserver: map: \d+ processes at a time, not 60: .*\n", result.stderr)
