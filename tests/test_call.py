# SPDX-License-Identifier: MIT
"""`forkserver call`: bytes in, a result out; exit codes and messages."""
import fcntl
import os
import signal
import struct
import subprocess
import termios
import time

import pytest

from leftovers import PATIENCE
from spawner import eventually, state

LIMIT = 30 * PATIENCE


@pytest.fixture
def call(forkserver, module):
    def run(function, *arguments, options=(), **settings):
        settings.setdefault("input", b"")
        if "stdin" in settings:
            settings.pop("input")
        command = [forkserver, "call", *map(str, options), f"{module('results')}:{function}", *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, timeout=LIMIT, **settings)
        return result.returncode, result.stdout, result.stderr.decode()
    return run


@pytest.mark.parametrize("data", [b"", b"hello", bytes(range(256)) * 4000], ids=len)
def test_bytes_come_back(call, data, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(data)
    assert call("echo", input=data) == (0, data, "")
    with path.open() as file:
        assert call("echo", stdin=file) == (0, data, "")


def test_file_from_the_middle(call, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"head\nbody")
    with path.open() as file:
        os.lseek(file.fileno(), 5, os.SEEK_SET)
        assert call("echo", stdin=file) == (0, b"body", "")


def test_file_whose_size_is_not_known(call):
    with open("/proc/self/mountinfo") as file:
        assert call("measure", stdin=file)[1] > b"1"


def test_large_result(call):
    code, out, err = call("fill", 10000000)
    assert (code, err) == (0, "") and out == b"\7" * 10000000


def test_what_is_printed_is_no_result(call):
    assert call("print_too", input=b"result") == (0, b"result", "printed\n")


def test_options(call, module):
    options = ["--preload", module("results"), "--memory", "off", "--timeout", "1m", "--kill-after", "1",
               "--quick-exit"]
    assert call("echo", options=options, input=b"hello") == (0, b"hello", "")


@pytest.mark.parametrize("entry, code, text", [
    (["fail_by_name"], 42, ":fail_by_name: no ?[31mred  wine"),
    (["fail_by_name", 3], 3, ":fail_by_name: no ?[31mred  wine"),
    (["exit_3"], 3, None),
    (["call_quick_exit"], 125, "the process exited with 0, and sent no result (stage result)"),
    (["write_lies"], 125, "(stage result)"),
    (["no_such_function"], 125, "has no function 'no_such_function' (stage entry)"),
])
def test_failures(call, entry, code, text):
    result, out, err = call(*entry)
    assert (result, out) == (code, b"")
    if text is None:
        assert err == ""
    else:
        assert err.startswith("forkserver: ") and err.endswith(text + "\n")


@pytest.mark.parametrize("function, number, options, text", [
    ("crash", signal.SIGABRT, [], ":crash was killed by SIGABRT"),
    ("hang", signal.SIGKILL, ["--timeout", "0.1"], ":hang was ended: it ran longer than 0.1 s"),
])
def test_deaths(call, function, number, options, text):
    code, out, err = call(function, options=options)
    assert (code, out) == (-number, b"") and text in err


def test_file_that_shrinks(call, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(bytes(100000))
    with path.open() as file:
        code, out, err = call("empty_first", path, stdin=file)
    assert (code, out) == (-signal.SIGBUS, b"") and "payload's file shrinks" in err


def test_reader_that_has_gone(forkserver, module):
    process = subprocess.Popen([forkserver, "call", f"{module('results')}:fill", "1000000"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout.read(10) == b"\7" * 10
    process.stdout.close()
    assert process.wait(LIMIT) == -signal.SIGPIPE


def test_result_that_has_no_room(forkserver, module):
    with open("/dev/full", "w") as full:
        result = subprocess.run([forkserver, "call", f"{module('results')}:fill", "1000"], stdin=subprocess.DEVNULL,
                                stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    assert result.returncode == 125
    assert result.stderr == "forkserver: cannot write the result: No space left on device\n"


def test_reader_that_has_gone_unheard(forkserver, module):
    process = subprocess.Popen([forkserver, "call", f"{module('results')}:fill", "1000000"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, restore_signals=False,
                               preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN))
    process.stdout.close()
    assert process.stderr.read() == "forkserver: cannot write the result: Broken pipe\n"
    assert process.wait(LIMIT) == 125


# ---- streams that are closed, or don't wait ----

@pytest.mark.parametrize("fd, outcome", [
    (0, (125, b"", "forkserver: cannot read the input: Bad file descriptor\n")),
    (1, (125, b"", "forkserver: cannot write the result: Bad file descriptor\n")),
    (2, (0, b"\7\7\7", "")),
])
def test_closed_stream(call, fd, outcome):
    assert call("fill", 3, preexec_fn=lambda: os.close(fd), stdin=subprocess.DEVNULL) == outcome


def test_printed_without_a_stream(call):
    assert call("print_too", preexec_fn=lambda: os.close(2), input=b"result") == (0, b"result", "")


def count_unread(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]


def test_streams_that_do_not_wait(forkserver, module):
    from_us, to_it = os.pipe()
    from_it, to_us = os.pipe()
    os.set_blocking(from_us, False)
    os.set_blocking(to_us, False)
    process = subprocess.Popen([forkserver, "call", f"{module('results')}:echo"], stdin=from_us, stdout=to_us,
                               stderr=subprocess.PIPE, text=True)
    os.close(from_us)
    os.close(to_us)
    with os.fdopen(to_it, "wb", buffering=0) as file:
        for _ in range(10):
            file.write(bytes(10000))
            time.sleep(0.01)
    assert eventually(lambda: count_unread(from_it) >= 65536)
    with os.fdopen(from_it, "rb") as file:
        assert file.read() == bytes(100000)
    assert (process.wait(LIMIT), process.stderr.read()) == (0, "")


# ---- signals ----

@pytest.fixture
def hanging(forkserver, module):
    """hanging(OPTION…) -> (the command's process, the pid of what it has called)"""
    processes = []

    def start(*options):
        processes.append(subprocess.Popen([forkserver, "call", *options, f"{module('results')}:say_and_hang"],
                                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          text=True))
        return processes[-1], int(processes[-1].stderr.readline())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("options", [[], ["--timeout", "1h"]], ids=["", "limit"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGKILL])
def test_signal(hanging, number, options):
    process, worker = hanging(*options)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (-number, "")
    assert (f"was killed by {number.name}" in err) == (number not in (signal.SIGINT, signal.SIGKILL))
    assert eventually(lambda: state(worker) == "gone")


def test_stop_and_continue(hanging):
    process, worker = hanging()
    process.send_signal(signal.SIGTSTP)
    assert eventually(lambda: state(process.pid) == state(worker) == "T")
    process.send_signal(signal.SIGCONT)
    assert eventually(lambda: "T" not in (state(process.pid), state(worker)))
    process.terminate()
    assert process.wait(LIMIT) == -signal.SIGTERM


def test_signal_while_input_is_awaited(forkserver, module):
    process = subprocess.Popen([forkserver, "call", f"{module('results')}:echo"], stdin=subprocess.PIPE)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGTERM
    process.stdin.close()


@pytest.mark.parametrize("words, text", [
    ([], "what to call is missing: MODULE:FUNCTION (try 'forkserver call --help')"),
    (["nothing"], "'nothing' is not MODULE:FUNCTION (try 'forkserver call --help')"),
    (["--kill-after", "1", "a:b"], "--kill-after needs --timeout (try 'forkserver call --help')"),
    (["--call", "a:b"], "unknown option '--call' (try 'forkserver call --help')"),
])
def test_misuse(forkserver, words, text):
    result = subprocess.run([forkserver, "call", *words], capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stdout, result.stderr) == (125, "", f"forkserver: {text}\n")
