# SPDX-License-Identifier: MIT
"""`forkserver map --call`: items as payloads, and results in files."""
import json
import os
import subprocess

import pytest

from leftovers import PATIENCE

LIMIT = 60 * PATIENCE


@pytest.fixture
def run(forkserver, module, tmp_path):
    """map with an entry point of `results`: exit code, the files of the results, standard error."""
    def run_map(items, function, *words, arguments=()):
        directory = tmp_path / "results"
        command = [forkserver, "map", "-j2", "--quiet", "--result", directory, "--call",
                   f"{module('results')}:{function}", *map(os.fsencode, map(str, words)), "--", *map(str, arguments)]
        result = subprocess.run(command, input=os.fsencode(items), capture_output=True, timeout=LIMIT, cwd=tmp_path)
        assert result.stdout == b""
        files = {path.name: path.read_bytes() for path in directory.iterdir()} if directory.exists() else {}
        return result.returncode, files, result.stderr.decode()
    return run_map


def test_payloads(run):
    assert run("a\nb b\n\n", "echo", "--payload") == (0, {"a": b"a", "b b": b"b b", r"\0": b""}, "")


def test_payload_of_several(run):
    assert run("a\nb\nc\n", "echo", "--payload", "-n2")[1] == {"a b": b"a\nb", "c": b"c"}


def test_blocks(run):
    assert run("a\nb\n", "echo", "--payload", "--pipe")[1] == {"block 1": b"a\nb\n"}


def test_payload_of_any_bytes(run):
    items = "\udcff\x01\t\n\0z"
    assert run(items, "echo", "--payload", "-0")[1] == {"\udcff\x01\\t\\n": b"\xff\x01\t\n", "z": b"z"}


def test_names(run):
    """Of GNU parallel; nothing leaves the directory."""
    items = ["../../etc/x", ".", "..", "a\\_b", "a/b", "-x"]
    code, files, err = run("\n".join(items), "echo", "--payload")
    assert (code, err) == (0, "")
    assert files == {name: os.fsencode(item) for name, item in
                     zip([r"..\_..\_etc\_x", r"\.", r"\..", r"a\\_b", r"a\_b", "-x"], items)}


def test_same_item_again(run):
    assert run("a\na\nb\na\n", "echo", "--payload")[1] == {"a": b"a", r"a\.2": b"a", r"a\.3": b"a", "b": b"b"}
    assert run("a\n", "echo", "--payload")[1].keys() == {"a", r"a\.2", r"a\.3", "b"}, "another run replaces"


def test_name_that_is_too_long(run):
    code, files, err = run("a\n" + "b" * 300, "echo", "--payload")
    assert (code, files) == (123, {"a": b"a"}) and "its result could not be kept: File name too long" in err


def test_large_results(run):
    assert run("100000\n5\n", "fill")[1] == {"100000": b"\7" * 100000, "5": b"\7" * 5}


@pytest.mark.parametrize("function, text", [
    ("fail_by_name", "'0': no ?[31mred  wine"), ("crash", "'0': killed by SIGABRT"), ("exit_3", ""),
    ("call_quick_exit", "the process exited with 0, and sent no result"),
])
def test_failures(run, function, text):
    code, files, err = run("0\n", function)
    assert (code, files) == (123, {}) and text in err


def test_report_and_resume(run, tmp_path):
    report = tmp_path / "report"
    assert run("0\n", "call_quick_exit", "--json", report)[0] == 123
    [entry] = map(json.loads, report.read_text().splitlines())
    assert entry["status"] == 0 and entry["no_result"]["stage"] == "result"
    assert "code" not in entry["no_result"]
    assert run("0\n", "fill", "--json", report, "--resume")[:2] == (0, {"0": b""}), "it is tried again"


def test_report_of_a_failure(run, tmp_path):
    report = tmp_path / "report"
    assert run("0\n", "fail_by_name", "--json", report)[0] == 123
    [entry] = map(json.loads, report.read_text().splitlines())
    assert entry["status"] == 0 and entry["no_result"]["code"] == 42


def test_resume_with_the_same_item_again(run, tmp_path):
    """What a run has done before keeps its name."""
    report = tmp_path / "report"
    assert run("a\n", "echo", "--payload", "--json", report)[1] == {"a": b"a"}
    (tmp_path / "results/a").write_text("before")
    assert run("a\na\n", "echo", "--payload", "--json", report, "--resume")[1] == {"a": b"before", r"a\.2": b"a"}


def test_retries(run):
    """Half of them die each time."""
    items = [str(n) for n in range(20)]
    code, files, _ = run("\n".join(items), "die_if_odd", "--payload", "--retries", 40)
    assert code == 0 and files == {item: item.encode() for item in items}


@pytest.mark.parametrize("words, text", [
    (["--result", "x", "true"], "--result and --payload are for --call: a program has neither"),
    (["--payload", "true"], "--result and --payload are for --call: a program has neither"),
    (["--payload", "--stdin", "--call", "a:b"], "--stdin and --payload exclude each other"),
])
def test_misuse(forkserver, words, text):
    result = subprocess.run([forkserver, "map", *words], capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (125, f"forkserver: {text} (try 'forkserver map --help')\n")


def test_directory_that_is_none(forkserver, module, tmp_path):
    (tmp_path / "file").touch()
    result = subprocess.run([forkserver, "map", "--result", tmp_path / "file", "--call", f"{module('results')}:echo"],
                            input="a\n", capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 125 and "cannot use the directory" in result.stderr
