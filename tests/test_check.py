# SPDX-License-Identifier: MIT
"""forkserver check: what a preload costs and whether it is safe; and the zygote's own policy for threads."""

import json
import os
import re
import subprocess

import pytest

from conftest import MISSING
from spawner import LIMIT, Failure, eventually


def check(forkserver, *words, leaves="", code=0):
    environment = {**os.environ, "LEAVES": leaves}
    result = subprocess.run([forkserver, "check", *words], capture_output=True, text=True, timeout=LIMIT,
                            env=environment)
    assert code in (None, result.returncode), result.stdout + result.stderr
    return result.stdout


def report(forkserver, *modules, leaves="", code=0, more=()):
    words = [word for module in modules for word in ("--preload", module)]
    return json.loads(check(forkserver, "--json", *words, *more, leaves=leaves, code=code))["modules"]


def test_a_library_that_is_safe(forkserver, testmod):
    (one,) = report(forkserver, testmod)
    assert one["verdict"] == "no risk found" and one["module"] == testmod
    assert one["errno"] == 0 and one["load_ms"] > 0 and not one["threads"] and not one["fds"]
    text = check(forkserver, "--preload", testmod)
    assert text.startswith(f"{testmod}: no risk found\n    load ")
    assert text.endswith("\n1 module: 1 with no risk found, 0 risky, 0 failing\n")


@pytest.mark.parametrize("leaves, kind, n", [("epoll", "epoll", 1), ("eventfd", "eventfd", 1), ("socket", "socket", 2),
                                            ("uring", "io_uring", 1)])
def test_what_all_children_would_share(forkserver, module, leaves, kind, n):
    (one,) = report(forkserver, module("leaves"), leaves=leaves, code=None)
    if leaves == "uring" and one["errno"]:
        pytest.skip("no io_uring here")
    assert one["verdict"].startswith("risky: ") and kind in one["verdict"]
    assert [fd["kind"] for fd in one["fds"]] == [kind] * n
    assert str(one["fds"][0]["fd"]) in one["verdict"]


def test_pipes_are_shown_and_are_no_risk(forkserver, module):
    (one,) = report(forkserver, module("leaves"), leaves="pipe")
    assert one["verdict"] == "no risk found" and [fd["kind"] for fd in one["fds"]] == ["pipe"] * 2


def test_a_thread(forkserver, module, testmod):
    first, second = report(forkserver, module("leaves"), testmod, leaves="thread")
    assert first["threads"] == ["leaves-thread"]
    assert first["verdict"].startswith("risky: ") and "leaves-thread" in first["verdict"]
    assert second["verdict"] == "no risk found"  # it isn't the second's


def test_a_thread_that_ends_for_a_fork_is_no_risk(forkserver, module):
    (one,) = report(forkserver, module("leaves"), leaves="stopped thread")
    assert one["verdict"] == "no risk found" and not one["threads"]


def test_memory(forkserver, module, sanitized):
    if sanitized:
        pytest.skip("a sanitizer's memory is of another kind")
    (one,) = report(forkserver, module("leaves"), leaves="memory")
    assert 50 * 1024 * 0.95 < one["private_dirty_kib"] < 50 * 1024 * 1.1
    assert 12800 * 0.95 < one["fork_pages"] < 12800 * 1.1


@pytest.mark.parametrize("name, words", [
    ("preload_fails", "its forkserver_preload()"),
    ("not_a_module", "file too short"),
    ("exit_on_load", "exited with 7"),
    ("crash_on_load", "SIGSEGV"),
])
def test_failing(forkserver, module, testmod, name, words, sanitized):
    reports = report(forkserver, testmod, module(name), code=1)
    assert reports[0]["verdict"] == "no risk found"
    assert reports[1]["verdict"].startswith("fails: ") and words in reports[1]["verdict"] and reports[1]["errno"]


def test_the_rest_is_loaded_after_a_failure(forkserver, module, testmod):
    reports = report(forkserver, "/nonexistent.so", module("preload_fails"), testmod, code=1)
    assert [one["verdict"].split(":")[0] for one in reports] == ["fails", "fails", "no risk found"]
    text = check(forkserver, "--preload", module("crash_on_load"), "--preload", testmod, code=1)
    assert text.endswith("1 failing; the rest was not loaded\n")


def test_module_that_hangs(forkserver, module):
    (one,) = report(forkserver, module("hang_on_load"), code=1, more=["--timeout", "0.5"])
    assert one["verdict"] == "fails: did not finish loading within 500 ms"


# ---- what is done to memory ----


def mappings(forkserver, module, mode, frozen=""):
    """Of `frozen`, which has memory of every kind, what was done to each mapping."""
    environment = {**os.environ, "FROZEN": frozen}
    words = ["--verbose", "--json", "--memory", mode, "--preload", module("frozen")]
    result = subprocess.run([forkserver, "check", *words], capture_output=True, text=True, timeout=LIMIT,
                            env=environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["mappings"]


@pytest.fixture
def memory(forkserver, module, sanitized):
    if sanitized:
        pytest.skip("a sanitizer's memory is of another kind")
    return lambda mode, frozen="": mappings(forkserver, module, mode, frozen)


def test_each_mapping_and_why(memory, module):
    told = memory("freeze")
    assert [one["start"] for one in told] == sorted({one["start"] for one in told})
    assert all(one["start"] < one["end"] for one in told)
    assert sum(one["frozen"] for one in told) > 100 << 20 and all(not one["collapsed"] for one in told)
    why = [one["why"] for one in told]
    assert {"locked", "wiped at a fork", "kept out of forks", "a stack", "shared: no fork copies it"} <= set(why)
    own = [one for one in told if one["what"].endswith("/frozen.so")]  # of a long path the end is told
    assert own and {one["why"] for one in own} <= {"nothing was written to it", "read-only",
                                                   "it is small: copying it is as fast"}
    for one in told:
        assert one["frozen"] or one["why"], one  # nothing is left alone without a reason
        assert not one["left"] or one["why"], one
    (heap,) = (one for one in told if one["what"] == "[heap]")
    assert heap["frozen"] > 8 << 20
    large = [one for one in told if one["frozen"] >= 60 << 20]
    why = "the last page stays, so that memory that grows is copied"
    assert large and large[0]["left"] == 4096 and large[0]["why"] == why


@pytest.mark.parametrize("what", ["zeros", "huge zeros", "written zeros"])
def test_zeros_are_neither_frozen_nor_left(memory, what):
    (reservation,) = (one for one in memory("freeze", what) if one["end"] - one["start"] >= 64 << 30)
    assert 512 << 10 < reservation["frozen"] < 1 << 20
    assert reservation["left"] <= 2 << 20  # one huge page holds a single byte


def test_each_mapping_is_told_as_text(forkserver, module, memory):
    text = check(forkserver, "--verbose", "--preload", module("frozen"))
    assert re.search(r"^    [0-9a-f]+-[0-9a-f]+ \[heap\]: \d+ KiB frozen(, \d+ KiB left alone: .+)?$", text, re.M)
    assert re.search(r"^    [0-9a-f]+-[0-9a-f]+ anonymous: 256 KiB left alone: locked$", text, re.M)
    assert re.search(r"^    [0-9a-f]+-[0-9a-f]+ /\S+/libc.so.6: left alone: nothing was written to it$", text, re.M)
    n = len(re.findall(r"^    [0-9a-f]+-[0-9a-f]+ ", text, re.M))
    summary = rf"^memory: 1\d{{5}} KiB frozen, 0 KiB collapsed, \d+ KiB left alone, in {n} mappings$"
    assert re.search(summary, text, re.M) and text.endswith("\n1 module: 1 with no risk found, 0 risky, 0 failing\n")


def test_why_a_weaker_mode(memory):
    left = [one for one in memory("auto", "small") if one["left"] >= 256 << 10]
    assert {one["why"] for one in left} == {"all of it together is small"}
    told = memory("freeze", "thread")
    assert all(one["frozen"] == 0 for one in told) and "a thread runs" in {one["why"].split(";")[0] for one in told}
    told = memory("collapse")
    assert all(one["frozen"] == 0 for one in told)
    assert "collapse" in MISSING or "only whole huge pages can be collapsed" in {one["why"] for one in told}
    assert "a thread runs" not in {one["why"] for one in told}


def test_memory_that_is_left_alone_on_request(forkserver, module):
    text = check(forkserver, "--verbose", "--memory", "off", "--preload", module("testmod"))
    assert "\nmemory: left alone, as asked for\n" in text
    assert mappings(forkserver, module, "off") == []


@pytest.mark.parametrize("words, complaint", [
    ([], "a MODULE is missing"),
    (["--preload"], "needs an argument"),
    (["--preload", "__main__"], "only modules can be checked"),
    (["--preload", ""], "empty name"),
    (["--timeout", "x", "--preload", "y"], "not a time"),
    (["--memory", "x", "--preload", "y"], "--memory: 'x' is none of auto, freeze, collapse and off"),
])
def test_misuse(forkserver, words, complaint):
    result = subprocess.run([forkserver, "check", *words], capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 125 and complaint in result.stderr and result.stderr.count("\n") == 1


# ---- the zygote itself ----


@pytest.fixture
def threads(start, module, tmp_path, monkeypatch):
    """A spawner whose zygote has what `leaves` says; and what was written to standard error."""

    def make(leaves, **options):
        monkeypatch.setenv("LEAVES", leaves)
        with open(tmp_path / "errors", "w") as errors:
            spawner = start(stderr=errors)
        spawner.new(preload=[module("testmod"), module("leaves")], **options)
        return spawner, lambda: (tmp_path / "errors").read_text()

    return make


def test_threads_are_told_of_by_default(threads, module):
    spawner, errors = threads("thread")
    assert spawner.call(f"{module('leaves')}:nothing").code() == 0
    left = f"forkserver: preload: module '{module('leaves')[:90]}' left 1 thread running (leaves-thread)"
    assert errors().startswith(left)
    assert errors().count("\n") == 1


def test_threads_that_fail_the_spawn(threads, module):
    spawner, errors = threads("thread", threads=1)
    with pytest.raises(Failure) as failure:
        spawner.call(f"{module('leaves')}:nothing")
    assert (failure.value.errno, failure.value.stage) == ("EBUSY", "preload")
    assert "leaves-thread" in failure.value.text and "leaves.so" in failure.value.text


@pytest.mark.parametrize("leaves, policy", [("thread", 2), ("stopped thread", 0), ("stopped thread", 1), ("", 1)])
def test_threads_that_are_no_matter(threads, module, leaves, policy):
    spawner, errors = threads(leaves, threads=policy)
    assert spawner.call(f"{module('leaves')}:nothing").code() == 0
    assert errors() == ""


def test_the_policy_of_a_named_server(forkserver, module, tmp_path, monkeypatch):
    monkeypatch.setenv("LEAVES", "thread")
    words = ["--socket", str(tmp_path / "socket"), "--preload", module("leaves"), "--threads"]
    result = subprocess.run([forkserver, "serve", *words, "never"], capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 125 and "'never' is none of warn, fail and ignore" in result.stderr
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen([forkserver, "serve", *words, "fail"], stderr=log)
    assert eventually(lambda: "left 1 thread running" in (tmp_path / "log").read_text())
    result = subprocess.run([forkserver, "run", "--socket", words[1], "true"], capture_output=True, text=True,
                            timeout=LIMIT)
    assert result.returncode == 125 and "leaves-thread" in result.stderr
    server.terminate()
    assert server.wait(LIMIT) == 0


def test_a_named_server_logs_what_modules_leave(forkserver, module, tmp_path, monkeypatch):
    monkeypatch.setenv("LEAVES", "thread epoll")
    path = tmp_path / "socket"
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen([forkserver, "serve", "--socket", str(path), "--preload", module("leaves")],
                                  stderr=log)
    # the server's line and the zygote's own come in any order
    text = eventually(lambda: (t := (tmp_path / "log").read_text()) and " left " in t and "': loaded in " in t and t)
    assert f"module '{module('leaves')}': loaded in " in text
    assert "leaves thread 'leaves-thread', fd " in text and "(epoll)" in text
    server.terminate()
    assert server.wait(LIMIT) == 0
