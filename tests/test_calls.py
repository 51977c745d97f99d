# SPDX-License-Identifier: MIT
"""Calls: an entry point's result comes back, or a sentence says why it doesn't."""
import subprocess

import pytest

from leftovers import PATIENCE


@pytest.fixture
def calls(program, module):
    def run(*arguments):
        result = subprocess.run([program("calls"), module("results"), *map(str, arguments)], capture_output=True,
                                text=True, timeout=120 * PATIENCE)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout.splitlines()
    return run


@pytest.mark.parametrize("entry, outcome", [
    (["echo"], "ok 5 'hello' exit 0 signal 0 code 0"),
    (["nothing"], "ok 0 exit 0 signal 0 code 0"),
    (["fill", 0], "ok 0 exit 0 signal 0 code 0"),
    (["fill", 32768], "ok 32768 sevens exit 0 signal 0 code 0"),
    (["fill", 32769], "ok 32769 sevens exit 0 signal 0 code 0"),
    (["copy", 32768], "ok 32768 sevens exit 0 signal 0 code 0"),
    (["copy", 32769], "ok 32769 sevens exit 0 signal 0 code 0"),
    (["fill", 2097152], "ok 2097152 sevens exit 0 signal 0 code 0"),  # a huge page
    (["copy", 2097153], "ok 2097153 sevens exit 0 signal 0 code 0"),
    (["fill", 80000000], "ok 80000000 sevens exit 0 signal 0 code 0"),
    (["call_exit"], "ok 10 'last words' exit 0 signal 0 code 0"),
    (["twice"], "ok 6 'second' exit 0 signal 0 code 0"),
    (["let_a_child_answer"], "ok 6 'parent' exit 0 signal 0 code 0"),
])
def test_results(calls, entry, outcome):
    assert calls(*entry) == [outcome]


@pytest.mark.parametrize("entry, outcome", [
    (["crash"], "EIO 0 exit -1 signal 6 code 0 result: the process was killed by SIGABRT"),
    (["exit_3"], "EIO 0 exit 3 signal 0 code 0 result: the process exited with 3"),
    (["call_quick_exit"], "ENODATA 0 exit 0 signal 0 code 0 result: the process exited with 0, and sent no result"),
    (["close_all"], "ENODATA 0 exit 0 signal 0 code 0 result: the process exited with 0, and sent no result"),
    (["fail_by_name"], "EREMOTEIO 0 exit 0 signal 0 code 42 result: no ?[31mred  wine"),
    (["fail_by_name", 1], "EREMOTEIO 0 exit 1 signal 0 code 42 result: no ?[31mred  wine"),
    (["hang"], "ETIMEDOUT 0 exit -1 signal 9 code 0 result: the time limit ended the process"),
    (["write_noise"], "EMSGSIZE 0 exit 0 signal 0 code 0 result: the result: Message too long"),
    (["write_lies"], "EPROTO 0 exit 0 signal 0 code 0 result: the result: Protocol error"),
    (["write_lies", 1], "EPROTO 0 exit 0 signal 0 code 0 result: the result: Protocol error"),
    (["send_unsealed"], "EPROTO 0 exit 0 signal 0 code 0 result: the result: Protocol error"),
    (["answer_and_crash"], "EIO 0 exit -1 signal 6 code 0 result: the process was killed by SIGABRT"),
    (["no_such_function"], "ENOENT 0 exit 0 signal 0 code 0 entry: "),
])
def test_failures(calls, entry, outcome):
    [line] = calls(*entry)
    assert line.replace(" and dumped core", "").startswith(outcome)


def test_little_memory_there(calls):
    assert calls("with_little_memory") == ["ok 3 '-12' exit 0 signal 0 code 0"]  # ENOMEM


def test_result_taken_after_the_end(calls):
    first, second = calls("apart")
    assert first == "ok 7 'payload' exit 0 signal 0 code 0"
    assert second.startswith("ENOENT 0") and "taken before" in second


# ---- the request's own input ----

def test_own_payload(calls):
    own = "ok 3 'own' exit 0 signal 0 code 0"
    assert calls("own") == [own, own, "ok 0 exit 0 signal 0 code 0"]


def test_file(calls, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"hello")
    assert calls("file", "echo", path) == ["ok 5 'hello' exit 0 signal 0 code 0"]
    assert calls("file", "shout", path) == ["ok 5 'HELLO' exit 0 signal 0 code 0"]
    assert path.read_bytes() == b"hello"


def test_file_that_is_empty(calls, tmp_path):
    path = tmp_path / "input"
    path.touch()
    assert calls("file", "measure", path) == ["ok 1 '0' exit 0 signal 0 code 0"]


def test_file_of_several_gib(calls, tmp_path):
    path = tmp_path / "input"
    with path.open("wb") as file:
        file.seek((5 << 30) - 1)  # a hole
        file.write(b"!")
    assert calls("file", "measure", path) == ["ok 11 '5368709120!' exit 0 signal 0 code 0"]


def test_file_that_shrinks(calls, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(bytes(100000))
    [line] = calls("file", "empty_first", path)
    assert line.startswith("EIO 0 exit -1 signal 7 code 0 result: ") and "payload's file shrinks" in line


def test_file_that_is_none(calls):
    [line] = calls("file", "echo", "/dev/null")
    assert line.startswith("EINVAL 0") and "neither a file nor a memfd" in line


# ---- many ----

def test_many(calls):
    assert calls("many", "echo", 200, 4, 0, 0, 0, 0)[0].startswith("0 told 200 good 200 wrong 0")


def test_many_in_order(calls):
    assert calls("many", "die_if_odd", 100, 4, 0, 1, 0, 0)[0].endswith("wrong 0 in order")


def test_many_with_retries(calls):
    assert calls("many", "die_if_odd", 50, 4, 30, 0, 0, 0)[0].startswith("0 told 50 good 50 wrong 0")


def test_many_under_few_files(calls):
    assert calls("many", "echo", 300, 300, 0, 0, 64, 0)[0].startswith("0 told 300 good 300 wrong 0")


def test_many_more_than_there_are_files(calls):
    assert calls("many", "echo", 1000, 1000, 0, 0, 256, 0)[0].startswith("0 told 1000 good 1000 wrong 0")


def test_many_until_it_is_enough(calls):
    assert calls("many", "echo", 100, 4, 0, 0, 0, 10)[0].startswith("77 told 10")


def test_many_of_which_none_can_begin(calls):
    assert calls("many", "no_such_function", 50, 4, 3, 0, 0, 0)[0].startswith("0 told 50 good 0 wrong 0")


def test_many_of_none(calls):
    assert calls("many", "echo", 0, 4, 0, 0, 0, 0) == ["0 told 0 good 0 wrong 0 in order"]


def test_what_a_process_is_told_that_gives_no_result(spawner, module):
    assert spawner.call(f"{module('results')}:say_outside").code() == 0
