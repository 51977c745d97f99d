# SPDX-License-Identifier: MIT
"""`forkserver map`: all that items print comes out, under the right item, whatever it is printed to, however late."""

import fcntl
import json
import os
import resource
import select
import signal
import subprocess

import pytest

from leftovers import PATIENCE
from spawner import eventually

LIMIT = 60 * PATIENCE
BIG = 3_000_000  # more than is kept in memory for one output


def command(forkserver, *args):
    return [forkserver, "map", *map(str, args)]


def run(forkserver, items, *args, **options):
    return subprocess.run(command(forkserver, *args), input=items.encode(), capture_output=True, timeout=LIMIT,
                          **options)


def start(forkserver, items, *args, **options):
    """Its standard input is a pipe that has ended."""
    read_end, write_end = os.pipe()
    os.write(write_end, items.encode())
    os.close(write_end)
    process = subprocess.Popen(command(forkserver, *args), stdin=read_end, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, bufsize=0, **options)
    os.close(read_end)
    return process


def read_line(file):
    """Fails instead of waiting for ever."""
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([file], [], [], LIMIT)[0], f"nothing follows {line}"
        byte = os.read(file.fileno(), 1)
        assert byte, f"the end follows {line}"
        line += byte
    return line


@pytest.mark.parametrize("shell, script", [
    ("sh", "echo one; echo two > /dev/stdout; echo three"),
    ("sh", "echo one; (echo two >> /dev/stdout); echo three"),
    ("sh", "echo one; echo two | tee /dev/stderr > /dev/null; echo three >&2"),
    ("sh", "echo one; echo two > /proc/self/fd/1; echo three"),
])
def test_opened_again(forkserver, shell, script):
    """As with xargs into a pipe: a process that opens the output by its name adds to it."""
    result = run(forkserver, "x\n", shell, "-c", f"({script}) 2>&1")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"one\ntwo\nthree\n", b"")


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


def test_limit_of_file_size(forkserver):
    """It is for files, and the output isn't one."""
    result = run(forkserver, "x\n", "head", "-c", BIG, "/dev/zero", "--", "/dev/null", preexec_fn=limit_files)
    assert result.stdout.count(b"\0") == BIG


def can_mount():
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/var/tmp"],
                          stderr=subprocess.DEVNULL).returncode == 0


def test_output_is_lost(forkserver, tmp_path):
    """What cannot be kept makes the item fail, and what could be comes out before the complaint. The item goes on."""
    if not can_mount():
        pytest.skip("needs a mount namespace")
    report, disk = tmp_path / "json", tmp_path / "disk"
    disk.mkdir()
    script = f'echo "$0"; [ "$0" = b ] || yes "" | head -c {BIG}; touch "$1/$0"'
    place = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && TMPDIR=$0 exec "$@"', disk]
    result = subprocess.run([*place, *command(forkserver, "-k", "--json", report, "sh", "-c", script, "{}", tmp_path)],
                            input=b"a\nb\n", capture_output=True, timeout=LIMIT)
    assert result.returncode == 123
    assert result.stdout.startswith(b"a\n\n\n") and result.stdout.endswith(b"\nb\n")
    assert 500_000 < len(result.stdout) < BIG
    assert result.stderr.startswith(b"forkserver: map: 'a': not all of its output could be kept: No space left")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "disk", "json"]
    entries = {entry["item"]: entry for entry in map(json.loads, report.read_text().splitlines())}
    assert entries["a"]["lost"] == {"errno": 28, "text": "No space left on device"} and entries["a"]["status"] == 0
    assert "lost" not in entries["b"]


@pytest.mark.parametrize("options", [[], ["--tag"], ["--line-buffer"], ["-k", "--line-buffer", "--tag"]])
def test_large_output(forkserver, tmp_path, options):
    script = f'yes "$1" | head -c {BIG}; [ "$1" = a ] || yes "$1" | head -c {BIG} >&2; printf end'
    environment = {**os.environ, "TMPDIR": tmp_path}
    result = run(forkserver, "a\nb\n", *options, "-j2", "sh", "-c", script, "sh", env=environment)
    tag = b"a\t" if "--tag" in options else b""
    end = b"\n" if "--tag" in options else b""
    half = BIG // 2
    for item in b"a", b"b":
        tag = item + b"\t" if "--tag" in options else b""
        assert result.stdout.count(tag + item + b"\n") == half
        assert tag + b"end" + end in result.stdout
    assert result.stderr == (b"b\tb\n" if "--tag" in options else b"b\n") * half


@pytest.mark.parametrize("directory", ["nothing", "file"])
def test_no_place_for_files(forkserver, tmp_path, directory):
    """There is another one, and else memory."""
    (tmp_path / "file").touch()
    result = run(forkserver, "x\n", "head", "-c", BIG, "/dev/zero", "--", "/dev/null",
                 env={**os.environ, "TMPDIR": tmp_path / directory})
    assert result.stdout.count(b"\0") == BIG


def test_no_place_at_all(forkserver):
    """A file system that is read-only leaves memory."""
    if not can_mount():
        pytest.skip("needs a mount namespace")
    script = ("for d in /tmp /var/tmp; do mount --rbind $d $d && mount -o remount,bind,ro $d || exit 99; done; "
              f"echo x | TMPDIR=/nothing {forkserver} map -- sh -c 'head -c {BIG} /dev/zero'")
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, timeout=LIMIT)
    assert (result.returncode, len(result.stdout), result.stderr) == (0, BIG, b"")


def test_full_disk(forkserver, tmp_path):
    if not can_mount():
        pytest.skip("needs a mount namespace")
    script = (f"mount -t tmpfs -o size=1m none {tmp_path} || exit 99; "
              f"echo x | TMPDIR={tmp_path} {forkserver} map -- sh -c 'yes | head -c {BIG}'")
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, timeout=LIMIT)
    assert result.returncode == 123 and 1_000_000 < len(result.stdout) < BIG
    assert b"'x': not all of its output could be kept: No space left on device" in result.stderr


def test_late_output_after_the_end(forkserver, tmp_path):
    """map doesn't wait for what items leave behind, and neither does it die for having written to us."""
    script = 'echo "$1"; (until [ -e "$0/go" ]; do sleep 0.01; done; echo late; echo later; touch "$0/alive") &'
    process = start(forkserver, "a\nb\n", "-k", "--tag", "sh", "-c", script, tmp_path)
    assert process.wait(LIMIT) == 0
    assert [read_line(process.stdout) for _ in range(2)] == [b"a\ta\n", b"b\tb\n"]
    (tmp_path / "go").touch()
    expected = sorted(item + b"\t" + text + b"\n" for item in (b"a", b"b") for text in (b"late", b"later"))
    assert sorted(read_line(process.stdout) for _ in range(4)) == expected
    assert process.communicate(timeout=LIMIT) == (b"", b"")
    assert eventually((tmp_path / "alive").exists)


def test_late_output_before_its_turn(forkserver, tmp_path):
    """It is with the item's other output."""
    script = """[ "$1" = 2 ] || { until [ -e "$0/gone" ]; do sleep 0.01; done; echo 1; exit; }
                echo 2; (until [ -e "$0/go" ]; do sleep 0.01; done; echo late; touch "$0/gone") & touch "$0/go" """
    result = run(forkserver, "1\n2\n", "-k", "-j2", "sh", "-c", script, tmp_path)
    assert result.stdout == b"1\n2\nlate\n"


def test_many_leave_something_behind(forkserver, tmp_path):
    """More than we would watch ourselves, with few files allowed."""
    script = '(until [ -e "$0/go" ]; do sleep 0.05; done; echo "$1") &'
    items = [b"%d" % i for i in range(80)]
    process = start(forkserver, b"\n".join(items).decode(), "-j2", "sh", "-c", script, tmp_path,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (90, 90)))
    assert process.wait(LIMIT) == 0
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=LIMIT)
    assert (sorted(out.split()), err) == (sorted(items), b"")


def test_endless_late_output(forkserver):
    """A process that writes without end keeps map neither from the next item nor from its end."""
    with open(os.devnull, "wb") as null:
        process = subprocess.Popen(command(forkserver, "-j1", "sh", "-c", "yes & echo $! >&2"),
                                   stdin=subprocess.PIPE, stdout=null, stderr=subprocess.PIPE, bufsize=0)
    process.stdin.write(b"a\nb\n")
    process.stdin.close()
    pids = [int(read_line(process.stderr)) for _ in range(2)]
    assert process.wait(LIMIT) == 0
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    process.stderr.close()


def test_reader_of_late_output_ends(forkserver, tmp_path):
    """Then the writer is told, as if it had written to the pipe."""
    script = '(until [ -e "$0/go" ]; do sleep 0.01; done; while echo late; do :; done; touch "$0/told") 2>/dev/null &'
    process = start(forkserver, "a\n", "bash", "-c", f"trap '' PIPE; {script}", tmp_path)
    assert process.wait(LIMIT) == 0
    process.stdout.close()
    (tmp_path / "go").touch()
    assert eventually((tmp_path / "told").exists)
    process.stderr.close()


def test_reader_of_late_output_lets_go(forkserver, tmp_path):
    """A process that waits until all have closed a pipe doesn't wait for one that only prints late."""
    read_end, write_end = os.pipe()
    script = f'exec {write_end}>&-; (until [ -e "$0/go" ]; do sleep 0.01; done; echo late) &'
    process = start(forkserver, "a\n", "bash", "-c", script, tmp_path, pass_fds=[write_end])
    os.close(write_end)
    assert process.wait(LIMIT) == 0
    assert select.select([read_end], [], [], LIMIT)[0] and os.read(read_end, 1) == b""
    os.close(read_end)
    (tmp_path / "go").touch()
    assert process.communicate(timeout=LIMIT) == (b"late\n", b"")


def test_line_buffer(forkserver, tmp_path):
    """Whole lines at once, of all items, and the rest of one at its end."""
    script = """printf 'one\\ntw'; until [ -e "$0/go$1" ]; do sleep 0.01; done; printf 'o\\nthree'"""
    process = start(forkserver, "a\nb\n", "-j2", "--line-buffer", "--tag", "sh", "-c", script, tmp_path)
    assert sorted(read_line(process.stdout) for _ in range(2)) == [b"a\tone\n", b"b\tone\n"]
    (tmp_path / "gob").touch()
    assert [read_line(process.stdout) for _ in range(2)] == [b"b\ttwo\n", b"b\tthree\n"]
    (tmp_path / "goa").touch()
    assert process.communicate(timeout=LIMIT) == (b"a\ttwo\na\tthree\n", b"")


def test_line_buffer_in_order(forkserver, tmp_path):
    """Lines of the one whose turn it is come out, and those of the next when that has ended."""
    script = 'echo one "$1"; until [ -e "$0/go$1" ]; do sleep 0.01; done; echo "two $1"; touch "$0/end$1"'
    process = start(forkserver, "a\nb\nc\n", "-j3", "-k", "--line-buffer", "sh", "-c", script, tmp_path)
    assert read_line(process.stdout) == b"one a\n"
    (tmp_path / "goc").touch()
    assert eventually((tmp_path / "endc").exists)
    (tmp_path / "goa").touch()
    assert [read_line(process.stdout) for _ in range(2)] == [b"two a\n", b"one b\n"]
    (tmp_path / "gob").touch()
    assert process.communicate(timeout=LIMIT) == (b"two b\none c\ntwo c\n", b"")


def test_line_without_end(forkserver, tmp_path):
    """It is shown in pieces, and needs no disk."""
    process = start(forkserver, "a\n", "--line-buffer", "sh", "-c",
                    'head -c 3000000 /dev/zero; until [ -e "$0/go" ]; do sleep 0.01; done', tmp_path)
    n = 0
    while n < 1_000_000:
        assert select.select([process.stdout], [], [], LIMIT)[0]
        n += len(os.read(process.stdout.fileno(), 65536))
    (tmp_path / "go").touch()
    assert n + len(process.communicate(timeout=LIMIT)[0]) == 3_000_000


def test_signals_while_nobody_reads(forkserver, tmp_path):
    """They end map also where it waits with what an item printed last."""
    read_end, write_end = os.pipe()
    os.write(write_end, bytes(fcntl.fcntl(write_end, fcntl.F_GETPIPE_SZ)))
    words = command(forkserver, "--line-buffer", "sh", "-c", 'printf rest; touch "$0"', ":::", tmp_path / "ran")
    with subprocess.Popen(words, stdout=write_end) as process:
        def has_ended():
            process.terminate()
            return process.poll() is not None

        try:
            assert eventually((tmp_path / "ran").exists) and eventually(has_ended)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM
    os.close(write_end)
    os.close(read_end)


def test_slow_reader(forkserver, tmp_path):
    """Nothing more is started while nobody reads, and what runs waits too."""
    script = 'touch "$0/$1"; head -c 200000 /dev/zero'
    items = "".join(f"{i}\n" for i in range(200))
    process = start(forkserver, items, "-j2", "sh", "-c", script, tmp_path)
    assert eventually(lambda: len(os.listdir(tmp_path)) >= 2)
    assert not eventually(lambda: len(os.listdir(tmp_path)) > 4, 0.2)
    out, _ = process.communicate(timeout=LIMIT)
    assert len(out) == 200 * 200_000 and process.returncode == 0


def test_report_beyond_the_limit_of_file_size(forkserver, tmp_path):
    items = "".join(f"{i}\n" for i in range(100))
    result = run(forkserver, items, "--json", tmp_path / "report", "true", preexec_fn=limit_files)
    assert result.returncode == 125
    assert result.stderr == b"forkserver: map: cannot write %s/report: File too large\n" % os.fsencode(tmp_path)
