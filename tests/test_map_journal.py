# SPDX-License-Identifier: MIT
"""`forkserver map --json FILE --resume`: a report that outlives the machine which wrote it."""

import json
import subprocess

import pytest

import alone
from spawner import LIMIT, eventually


@pytest.fixture
def report(tmp_path):
    return tmp_path / "report"


@pytest.fixture
def run(forkserver, report):
    """Runs map on an input, with the report: exit code, lines of standard output, standard error."""
    def run_map(items, *words, file=report):
        command = [forkserver, "map", "-j1", "--quiet", "--json", file, "--resume", *map(str, words or ["echo"])]
        result = subprocess.run(command, input=items, text=True, capture_output=True, timeout=LIMIT)
        return result.returncode, result.stdout.splitlines(), result.stderr
    return run_map


def items_of(path):
    return [json.loads(line)["item"] for line in path.read_text().splitlines()]


# ---- what a dead node leaves ----

def test_cut_anywhere_in_the_last_line(run, report):
    run("a\nb\n")
    whole = report.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        report.write_bytes(whole[:length])
        assert run("a\nb\n") == (0, ["b"], ""), whole[:length]
        assert items_of(report) == ["a", "b"]


@pytest.mark.parametrize("zeros", [1, 4096, 100_000])
def test_zeros_at_the_end(run, report, zeros):
    """The file had its length already, and not its bytes."""
    run("a\nb\n")
    first, second = report.read_bytes().splitlines(True)
    for rest in b"", second[:9]:
        report.write_bytes(first + rest + bytes(zeros))
        assert run("a\nb\n") == (0, ["b"], "")
        assert items_of(report) == ["a", "b"]


def test_zeros_amid(run, report):
    """Of two pages only the later one came. What both had in it runs again, and what is whole counts."""
    run("a\nb\nc\nd\n")
    lines = report.read_bytes().splitlines(True)
    hole = lines[1][:20] + bytes(len(lines[1]) - 20 + 30) + lines[2][30:]
    report.write_bytes(lines[0] + hole + lines[3])
    text = f"forkserver: map: --resume: line 2 of {report} is damaged: what it said runs again\n"
    assert run("a\nb\nc\nd\n") == (0, ["b", "c"], text)
    assert run("a\nb\nc\nd\n") == (0, [], text)


@pytest.mark.parametrize("garbage", [b"x\n", b"\x7fELF\0\0\n", b'{"item": "a", "pid": 1, {"item": "b"}\n', b"\n"])
def test_garbage_amid(run, report, garbage):
    """It is no report, or not ours alone: it isn't touched."""
    run("a\nb\n")
    first, second = report.read_bytes().splitlines(True)
    report.write_bytes(first + garbage + second)
    code, out, err = run("a\nb\nc\n")
    assert (code, out) == (125, []) and f"line 2 of {report} is not of a report" in err
    assert report.read_bytes() == first + garbage + second


# ---- writing ----

def test_only_appended(run, report):
    run("a\nb\n")
    before, number = report.read_bytes(), report.stat().st_ino
    run("a\nb\nc\n")
    assert report.read_bytes().startswith(before) and report.stat().st_ino == number


def test_each_line_is_there_at_once(forkserver, report):
    """For those who read along; what happens to us afterwards changes nothing of it."""
    words = [forkserver, "map", "-j1", "--json", report, "--resume", "sh", "-c", "[ $0 != wait ] || sleep 1000"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, text=True)
    process.stdin.write("a\nwait\n")
    process.stdin.close()
    eventually(lambda: report.exists() and items_of(report) == ["a"])
    process.kill()
    process.wait(LIMIT)
    assert items_of(report) == ["a"]


def test_synced(forkserver, report, tmp_path):
    """At the end at the latest, and only where a later run goes on with it."""
    if subprocess.run(["sh", "-c", "strace -o /dev/null true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no strace here")
    for options, times in ([], 0), (["--resume"], 1):
        trace = tmp_path / "trace"
        subprocess.run(["strace", "-o", trace, "-e", "trace=fdatasync,fsync", forkserver, "map", "--json", report,
                        *options, "true", ":::", "a", "b"], check=True, timeout=LIMIT)
        assert trace.read_text().count("sync(") == times


# ---- a full disk ----

@pytest.fixture
def disk(tmp_path):
    """A small one: 64 KiB."""
    if not alone.is_alone():
        pytest.skip("no file system can be mounted here")
    path = tmp_path / "disk"
    path.mkdir()
    try:
        alone.mount("tmpfs", path, "tmpfs", 0, "size=64k")
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield path
    subprocess.run(["umount", path], check=True)


def test_full_disk(run, disk):
    """It is told, nothing new is started, and a run that finds room goes on where it ended."""
    report, ballast = disk / "report", disk / "ballast"
    ballast.write_bytes(bytes(56 * 1024))
    items = [f"{number:0100}" for number in range(100)]
    code, first, err = run("\n".join(items), file=report)
    assert code == 125 and err == f"forkserver: map: cannot write {report}: No space left on device\n"
    assert 0 < len(first) < 50
    ballast.unlink()
    code, second, err = run("\n".join(items), file=report)
    assert (code, err) == (0, "") and sorted(set(first + second)) == items
    assert len(first + second) <= len(items) + 1, "only what the report had no room for runs again"
    assert items_of(report) == items
