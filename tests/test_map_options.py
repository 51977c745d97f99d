# SPDX-License-Identifier: MIT
"""`forkserver map`: reports that go on, retries, halting, delays, standard input, and what is shown meanwhile."""

import json
import os
import subprocess

import pytest

from spawner import LIMIT


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
    run("a b\nc\nd\n", "-k", "-n2", "--json", report, "true")
    assert [entry["items"] for entry in results(report)] == [["a b", "c"], ["d"]]
    run("", "-k", "--json", report, "true", ":::", "a", ":::", "1", "2")
    assert [entry["items"] for entry in results(report)] == [["a", "1"], ["a", "2"]]
    assert all("item" not in entry for entry in results(report))


@pytest.mark.parametrize("options", [[], ["-u"], ["--line-buffer"]])
def test_report_to_standard_output(run, options, tmp_path):
    """It is all that is there; what the processes print is on standard error."""
    code, lines, err = run("a\nb\n", *options, "--json", "-", "sh", "-c", "echo out-$0; [ $0 != b ]", cwd=tmp_path)
    assert code == 123 and sorted(err.split()) == ["out-a", "out-b"]
    assert sorted((json.loads(line)["item"], json.loads(line)["status"]) for line in lines) == [("a", 0), ("b", 1)]
    assert not list(tmp_path.iterdir())


# ---- resuming ----

WORK = ["sh", "-c", "echo $0; [ $0 != bad ]"]


def test_resume(run, tmp_path):
    report = tmp_path / "report"
    assert run("a\nbad\nb\n", "-k", "--json", report, "--resume", *WORK) == (123, ["a", "bad", "b"], "")
    assert run("a\nbad\nb\nc\n", "-k", "--json", report, "--resume", *WORK) == (123, ["bad", "c"], "")
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
    run("a\nb\n", "-k", "--json", report, *WORK)
    first, second = report.read_bytes().splitlines(True)
    report.write_bytes(first + second[:cut])
    assert run("a\nb\n", "-k", "--json", report, "--resume", *WORK) == (0, ["b"], "")
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
