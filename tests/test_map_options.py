# SPDX-License-Identifier: MIT
"""`forkserver map`: reports that go on, retries, halting, delays, standard input, and what is shown meanwhile."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios

import pytest

from spawner import LIMIT, eventually, state


@pytest.fixture
def run(forkserver):
    """Runs map on an input: exit code, lines of standard output, standard error."""
    def run_map(items, *words, **options):
        command = [forkserver, "map", *(os.fsencode(word if isinstance(word, bytes) else str(word)) for word in words)]
        items = items if isinstance(items, bytes) else items.encode()
        result = subprocess.run(command, input=items, capture_output=True, timeout=LIMIT, **options)
        return result.returncode, result.stdout.decode().splitlines(), result.stderr.decode()
    return run_map


def results(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---- the report ----

def test_items_of_several(run, tmp_path):
    report = tmp_path / "report"
    run("a b\nc\nd\n", "-j1", "-n2", "--json", report, "true")
    assert [entry["items"] for entry in results(report)] == [["a b", "c"], ["d"]]
    run("", "-j1", "--json", report, "true", ":::", "a", ":::", "1", "2")
    assert [entry["items"] for entry in results(report)] == [["a", "1"], ["a", "2"]]
    assert all("item" not in entry for entry in results(report))


@pytest.mark.parametrize("options", [[], ["-u"], ["--line-buffer"]])
def test_report_to_standard_output(run, options, tmp_path):
    """It is all that is there; what the processes print is on standard error."""
    work = "echo out-$0; [ $0 != b ]"
    code, lines, err = run("a\nb\n", *options, "--quiet", "--json", "-", "sh", "-c", work, cwd=tmp_path)
    assert code == 123 and sorted(err.split()) == ["out-a", "out-b"]
    assert sorted((json.loads(line)["item"], json.loads(line)["status"]) for line in lines) == [("a", 0), ("b", 1)]
    assert not list(tmp_path.iterdir())


def test_report_on_a_terminal(run):
    """Nothing in it that a terminal obeys."""
    _, lines, _ = run("\033[31m\u009b\u0085\x7f\u00e4\n", "--json", "-", "true")
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in lines[0])
    assert json.loads(lines[0])["item"] == "\033[31m\u009b\u0085\x7f\u00e4"


# ---- resuming ----

WORK = ["sh", "-c", "echo $0; [ $0 != bad ]"]


def test_report_does_not_wait_for_the_output(run, tmp_path):
    """With -k only outputs are in the items' order: what has been done is known at once."""
    report = tmp_path / "report"
    work = f"""echo $0; [ $0 = b ] || until grep -q '"b"' {report}; do sleep 0.01; done"""
    assert run("a\nb\n", "-k", "-j2", "--json", report, "sh", "-c", work) == (0, ["a", "b"], "")
    assert [entry["item"] for entry in results(report)] == ["b", "a"]


def test_resume(run, tmp_path):
    report = tmp_path / "report"
    assert run("a\nbad\nb\n", "-j1", "--quiet", "--json", report, "--resume", *WORK) == (123, ["a", "bad", "b"], "")
    assert run("a\nbad\nb\nc\n", "-j1", "--quiet", "--json", report, "--resume", *WORK) == (123, ["bad", "c"], "")
    assert [entry["item"] for entry in results(report)] == ["a", "bad", "b", "bad", "c"]
    assert run("a\nb\nc\n", "--json", report, "--resume", *WORK) == (0, [], "")
    assert run("a\n", "--json", report, *WORK)[1] == ["a"] and len(results(report)) == 1  # without --resume: anew


def test_resume_of_equal_items(run, tmp_path):
    report = tmp_path / "report"
    run("a\na\n", "--json", report, *WORK)
    assert run("a\na\na\nb\n", "-k", "--json", report, "--resume", *WORK)[1] == ["a", "b"]


@pytest.mark.parametrize("cut", [1, 2, 7, 9, 60, -1])
def test_resume_after_a_torn_line(run, tmp_path, cut):
    """A run that was killed while it wrote: the rest of the line goes, and its item runs again."""
    report = tmp_path / "report"
    run("a\nb\n", "-j1", "--json", report, *WORK)
    first, second = report.read_bytes().splitlines(True)
    report.write_bytes(first + second[:cut])
    assert run("a\nb\n", "-j1", "--json", report, "--resume", *WORK) == (0, ["b"], "")
    assert [entry["item"] for entry in results(report)] == ["a", "b"]


def test_resume_of_any_bytes(run, tmp_path):
    report = tmp_path / "report"
    items = [bytes([byte]) for byte in range(1, 256)] + ["äß€😀".encode(), b"", b'"\\', b"\xed\xb2\x80", b"\xe2\x82"]
    run(b"\0".join(items) + b"\0", "-0", "--json", report, "true")
    again = tmp_path / "again"
    again.write_text("".join(json.dumps(entry) + "\n" for entry in results(report)))  # with other escapes
    for file in report, again:
        assert run(b"\0".join(items) + b"\0", "-0", "--json", file, "--resume", "echo") == (0, [], "")


def test_resume_of_several(run, tmp_path):
    report = tmp_path / "report"
    run("", "--json", report, "true", ":::", "a", "b", ":::", "1")
    assert run("", "-k", "--json", report, "--resume", "echo", ":::", "a", "b", ":::", "1", "2")[1] == ["a 2", "b 2"]
    run("a b\nc\n", "-n2", "--json", report, "true")
    assert run("a\nb c\n", "-n2", "--json", report, "--resume", "echo")[1] == ["a b c"]


@pytest.mark.parametrize("text", ["x\n", "{}\n", '{"a": 1}\n', "important", '{"item": 1}\n', '{"item": "a"\n', "[]\n",
                                  '{"item": "a", "status": 0}\nx\n', '{"item": "\\u12"}\n', '{"items": ["a"}\n', "{"])
def test_resume_of_another_file(run, tmp_path, text):
    """It isn't touched."""
    file = tmp_path / "file"
    file.write_text(text)
    code, lines, err = run("a\n", "--json", file, "--resume", "echo")
    if text == "{":
        assert code == 0
        return
    assert (code, lines, file.read_text()) == (125, [], text)
    assert f"line {text.count(chr(10)) or 1} of {file}" in err


def test_resume_needs_a_file(run):
    for words in ["--resume"], ["--resume", "--json", "-"]:
        code, _, err = run("a\n", *words, "echo")
        assert code == 125 and "--json FILE" in err


def test_number_of_resumed(run, tmp_path):
    """Each item keeps its own."""
    report = tmp_path / "report"
    run("a\nb\n", "--json", report, "true")
    assert run("a\nb\nc\n", "--json", report, "--resume", "echo", "{#}{}")[1] == ["3c"]


# ---- retries ----

def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def test_retries(run, tmp_path):
    """Up to N tries; only what the last one printed is shown, and counts."""
    log, report = tmp_path / "log", tmp_path / "report"
    work = f'echo "$1" >>{log}; n=$(grep -cx "$1" {log}); echo "$1 try $n"; [ "$n" -ge "$1" ]'
    assert run("1\n3\n9\n2\n", "-k", "-j2", "--quiet", "--retries", 3, "--json", report, "sh", "-c", work, "sh") == (
        123, ["1 try 1", "3 try 3", "9 try 3", "2 try 2"], "")
    assert {entry["item"]: entry["tries"] for entry in results(report)} == {"1": 1, "3": 3, "9": 3, "2": 2}
    assert sorted(lines_of(log)) == ["1", "2", "2", "3", "3", "3", "9", "9", "9"]


def test_retry_after_a_signal(run, tmp_path):
    work = f"[ -e {tmp_path}/done ] || {{ touch {tmp_path}/done; kill -9 $$; }}"
    assert run("a\n", "--retries", 2, "sh", "-c", work) == (0, [], "")


def test_first_fails_when_many_have_ended(run, tmp_path):
    """With -k the others wait for its turn, so it is tried again at once."""
    work = f"""[ $0 != 0 ] || {{ until [ -e {tmp_path}/79 ]; do sleep 0.01; done; [ -e {tmp_path}/0 ]; code=$?; }}
               touch {tmp_path}/$0; echo $0; exit $code"""
    items = [str(i) for i in range(100)]
    assert run("\n".join(items), "-k", "-j2", "--retries", 2, "sh", "-c", work) == (0, items, "")


def test_too_long_is_tried_as_often(run, tmp_path):
    code, _, err = run("a" * 200_000, "--retries", 2, "--json", tmp_path / "report", "true")
    assert code == 123 and err.count("Argument list too long") == 1
    assert [entry["tries"] for entry in results(tmp_path / "report")] == [2]


def test_end_before_the_next_try(forkserver, tmp_path):
    """What the last one said and was is told."""
    report = tmp_path / "report"
    words = [forkserver, "map", "-j1", "--retries", "2", "--delay", "1000", "--json", report, "sh", "-c",
             f"echo said; echo $$ >{tmp_path}/pid; mv {tmp_path}/pid {tmp_path}/ran; exit 7", ":::", "a"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert eventually((tmp_path / "ran").exists)
        pid = int((tmp_path / "ran").read_text())
        assert eventually(lambda: state(pid) == "gone")
        process.terminate()
        assert process.communicate(timeout=LIMIT) == (
            b"said\n", b"forkserver: map: 1 of 1 items failed, the first: 'a' (exit code 7)\n")
    assert [entry["status"] for entry in results(report)] == [7]


def test_no_retry_after_halting(run, tmp_path):
    log = tmp_path / "log"
    assert run("1\n2\n3\n", "-j1", "--retries", 2, "--halt", 1, "sh", "-c", f"echo $0 >>{log}; exit 1")[0] == 123
    assert lines_of(log).count("1") == 2 and "3" not in lines_of(log)


# ---- halting ----

@pytest.mark.parametrize("halt, count", [("2", 2), ("soon,2", 2), ("soon,fail=2", 2), ("soon", 1), ("now,fail=2", 2),
                                         ("now", 1), ("soon,fail=100%", 3), ("50%", 3), ("soon,1%", 3)])
def test_halt(run, tmp_path, halt, count):
    log = tmp_path / "log"
    assert run("1\n" * 9, "-j1", "--halt", halt, "sh", "-c", f"echo $0 >>{log}; exit 1")[0] == 123
    assert len(lines_of(log)) == count


def test_halt_by_a_part_of_what_ended(run, tmp_path):
    log = tmp_path / "log"
    items = "".join(f"{code}\n" for code in [0] * 12 + [1] * 9)
    run(items, "-j1", "--halt", "soon,fail=25%", "sh", "-c", f"echo $0 >>{log}; exit $0")
    assert len(lines_of(log)) == 16


def test_halt_now_ends_what_runs(run, tmp_path):
    """Also what it has started, and at once."""
    work = f"""[ $0 = bad ] || {{ touch {tmp_path}/runs; sleep 1000; }}
               until [ -e {tmp_path}/runs ]; do sleep 0.01; done; exit 1"""
    code, _, err = run("bad\nlong\nnever\n", "-j2", "--halt", "now,fail=1", "sh", "-c", work)
    assert code == 123 and "'long': killed by SIGKILL" in err and "never" not in err


# ---- delays and load ----

def test_delay(run, tmp_path):
    """Starts are apart, as the report has them; the last one is waited for."""
    report = tmp_path / "report"
    assert run("1\n2\n3\n", "-j1", "--delay", "30ms", "--json", report, "echo") == (0, ["1", "2", "3"], "")
    starts = [entry["start"] for entry in results(report)]
    assert all(later - earlier >= 0.025 for earlier, later in zip(starts, starts[1:]))


def test_retries_wait_for_the_delay(run, tmp_path):
    log = tmp_path / "log"
    assert run("1\n", "--delay", "10ms", "--retries", 3, "sh", "-c", f"echo x >>{log}; exit 1")[0] == 123
    assert len(lines_of(log)) == 3


def test_load(run, tmp_path):
    """With next to none allowed one runs at a time."""
    log = tmp_path / "log"
    work = f"echo + >>{log}; sleep 0.02; echo - >>{log}"
    assert run("1\n2\n3\n", "-j3", "--load", "0.001", "sh", "-c", work)[0] == 0
    assert lines_of(log) == ["+", "-"] * 3
    assert run("1\n2\n", "-k", "--load", "100000%", "echo")[1] == ["1", "2"]


def test_verbose(run):
    code, lines, err = run("a b\n\033[31m\n", "-k", "-j1", "-t", "echo", "{%}", "{}")
    assert (code, lines[0]) == (0, "1 a b") and err == "echo 1 'a b'\necho 1 $'\\033[31m'\n"
    assert run("a\n", "--verbose", "sh", "-c", "exit 1", "--retries", "--")[2].count("sh -c") == 1


@pytest.mark.parametrize("words, names", [
    (["--halt", "x"], "now,fail=1"), (["--halt", "now,x"], "soon,fail=20%"), (["--halt", "0"], "--halt"),
    (["--halt", "now,fail=101%"], "--halt"), (["--halt", ""], "--halt"), (["--retries", "0"], "--retries"),
    (["--delay", "x"], "not a time"), (["--load", "0"], "--load"), (["--load", "x"], "80%"),
    (["--load", "1%%"], "80%")])
def test_misuse(run, words, names):
    code, lines, err = run("a\n", *words, "echo")
    assert (code, lines) == (125, []) and names in err and err.count("\n") == 1


# ---- standard input ----

def test_stdin(run, testmod):
    assert run("a b\n\nc", "-k", "--stdin", "sh", "-c", "od -An -c | tr -d '\\n '; echo $#")[1] == [
        "ab\\n0", "\\n0", "c\\n0"]
    assert run("a b\n", "--stdin", "sh", "-c", "cat; echo $1", "sh", "<{}>")[1] == ["a b", "<a b>"]
    assert run("a\n", "--stdin", "--call", f"{testmod}:cat")[1] == ["a"]
    assert run("1\n2\n3\n", "-k", "-n2", "--stdin", "sh", "-c", "wc -l")[1] == ["2", "1"]
    assert run("a\nb\0c\0", "-0", "-k", "--stdin", "sh", "-c", "tr '\\0' .")[1] == ["a", "b.c."]


def test_long_stdin_that_nobody_reads(run):
    """As much as no pipe takes."""
    assert run("x" * 1_000_000 + "\n", "--stdin", "true") == (0, [], "")
    assert run("x" * 1_000_000 + "\n", "--stdin", "wc", "-c")[1] == ["1000001"]


def test_names_of_blocks(run, tmp_path):
    report = tmp_path / "report"
    assert run("a\nb\n", "-j1", "--pipe", "--block", "1", "--tag", "--json", report, "cat")[1] == [
        "block 1\ta", "block 2\tb"]
    assert [entry["item"] for entry in results(report)] == ["block 1", "block 2"]


def test_blocks_keep_each_byte(run, tmp_path):
    text = os.urandom(300_000).replace(b"\0", b"\n")
    for block in "3k", "100k", "1M":
        assert run(text, "-k", "--pipe", "--block", block, "-j3", "sh", "-c", f"cat >{tmp_path}/$0", "{#}")[0] == 0
        files = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
        assert b"".join(file.read_bytes() for file in files) == text
        assert all(file.read_bytes().endswith(b"\n") for file in files[:-1])
        for file in files:
            file.unlink()


def test_block_of_a_long_line(run):
    assert run("x" * 100_000 + "\na\nb\n", "-k", "--pipe", "--block", "10", "wc", "-c")[1] == ["100001", "4"]


def test_blocks_are_tried_again(run, tmp_path):
    work = f"wc -l; [ -e {tmp_path}/x ] || {{ touch {tmp_path}/x; exit 1; }}"
    assert run("a\nb\n", "--pipe", "--retries", 2, "sh", "-c", work) == (0, ["2"], "")


def test_blocks_of_a_file(run, tmp_path):
    (tmp_path / "file").write_text("a\nb\n")
    assert run("", "--pipe", "-a", tmp_path / "file", "cat") == (0, ["a", "b"], "")
    assert run("", "--pipe", "cat") == (0, [], "")


@pytest.mark.parametrize("words", [
    ["--pipe", "-n2"], ["--pipe", "-X"], ["--pipe", "--block", "x"], ["--block", "1M"], ["--pipe", "--block", "0"],
    ["--stdin", "-X"], ["--pipe", "--block", "2G"]])
def test_misuse_of_stdin(run, words):
    code, lines, err = run("a\n", *words, "cat")
    assert (code, lines) == (125, []) and err.count("\n") == 1
    assert run("a\n", "--pipe", "echo", "{}")[0] == run("a\n", "--pipe", "cat", ":::", "a")[0] == 125


# ---- progress ----

class Screen:
    """Runs map with a terminal as standard error, until `enough` (of what it wrote there) holds; then lets it go on."""

    def __init__(self, forkserver, tmp_path, *words, columns=80, term="xterm", items=4):
        self.go = tmp_path / "go"
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key != "TERM"}
        environment |= {} if term is None else {"TERM": term}
        work = f'[ $0 -lt 3 ] || until [ -e {self.go} ]; do sleep 0.01; done'
        (tmp_path / "items").write_text("".join(f"{i}\n" for i in range(1, items + 1)))
        self.master, self.text = master, b""
        self.process = subprocess.Popen([forkserver, "map", "-j1", "-a", tmp_path / "items", *words, "sh", "-c", work],
                                        stderr=slave, env=environment)
        os.close(slave)

    def read(self, enough):
        def step():
            if select.select([self.master], [], [], 0)[0]:
                self.text += os.read(self.master, 65536)
            return enough(self.text)
        assert eventually(step), self.text
        return self.text

    def end(self):
        self.go.touch()
        self.read(lambda text: text.endswith(b" s\r\n"))
        assert self.process.wait(LIMIT) == 0
        os.close(self.master)
        return self.text


def test_progress_with_an_estimate(forkserver, tmp_path):
    screen = Screen(forkserver, tmp_path)
    line = screen.read(lambda text: b"2 done" in text and b"ETA" in text).rpartition(b"\r")[2]
    assert re.fullmatch(rb"2 done, 0 failed, [\d.]+/s, 2 to go, ETA \d+ s\x1b\[K", line)
    screen.end()


def test_progress_is_not_drawn_again(forkserver, tmp_path):
    screen = Screen(forkserver, tmp_path)
    before = screen.read(lambda text: b"2 done" in text)
    assert not eventually(lambda: select.select([screen.master], [], [], 0)[0], 0.5) and before == screen.text
    screen.end()


@pytest.mark.parametrize("columns", [10, 30])
def test_progress_fits(forkserver, tmp_path, columns):
    screen = Screen(forkserver, tmp_path, columns=columns)
    screen.read(lambda text: b"2 done" in text)
    lines = screen.end().partition(b"forkserver: ")[0].replace(b"\x1b[K", b"").split(b"\r")
    assert all(len(line) < columns for line in lines) and max(map(len, lines)) == columns - 1


@pytest.mark.parametrize("term", ["dumb", None, ""])
def test_progress_on_a_dumb_terminal(forkserver, tmp_path, term):
    """No escape codes; blanks take the line away."""
    screen = Screen(forkserver, tmp_path, term=term)
    screen.read(lambda text: b"2 done" in text)
    text = screen.end()
    assert b"\x1b" not in text and re.search(rb"\r +\rforkserver: map: 4 done", text)


def test_progress_of_a_resumed_run(forkserver, run, tmp_path):
    report = tmp_path / "report"
    run("1\n2\n", "--json", report, "true")
    screen = Screen(forkserver, tmp_path, "--json", report, "--resume", items=5)
    screen.read(lambda text: b"0 done, 0 failed, 0/s, 3 to go" in text)
    screen.end()
