# SPDX-License-Identifier: MIT
"""Debugging, and seeing a spawn: run --direct, --debug, --trace, and the probes."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from leftovers import PATIENCE
from spawner import eventually

LIMIT = 30 * PATIENCE
PTRACE_SEIZE = 0x4206
PROBES = {"forkserver-server": {"claim", "fork_ordered", "forked", "reaped", "exited_sent"},
          "forkserver-zygote": {"request_received", "request_claimed", "worker_set_up", "worker_runs"},
          "libforkserver.so": {"spawn_request", "spawn_started", "spawn_ended"}}
CODE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int forkserver_preload(void) { fprintf(stderr, "hook\n"); return FAILS; }
__attribute__((noinline)) int work(int argc, char **argv) {
        printf("%s in %d\n", argc > 1 ? argv[1] : "-", (int)getpid());
        return argc;
}
int quits(int argc, char **argv) { (void)argc; (void)argv; printf("quits"); exit(7); }
int forks(int argc, char **argv) { (void)argc; (void)argv; return fork() ? 4 : 5; }
int crashes(int argc, char **argv) { (void)argc; (void)argv; abort(); }
int variable;
"""


def forkserver_run(forkserver, *args, command="run", **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([forkserver, command, *map(str, args)], capture_output=True, text=True, timeout=LIMIT,
                          **options)


@pytest.fixture
def debuggee(tmp_path):
    def build(fails=0):
        source, module = tmp_path / "m.c", tmp_path / "m.so"
        source.write_text(CODE)
        subprocess.run(["cc", "-g", f"-DFAILS={fails}", "-shared", "-fPIC", "-o", module, source], check=True)
        return str(module)

    return build


def can_trace():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        return libc.ptrace(PTRACE_SEIZE, child.pid, None, None) == 0
    finally:
        child.stdin.close()
        child.wait()


# ---- run --direct ----


def test_direct_is_this_process(forkserver, debuggee):
    module = debuggee()
    process = subprocess.Popen([forkserver, "run", "--direct", "--preload", module, "--call", f"{module}:work", "x"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out, err) == (2, f"x in {process.pid}\n", "hook\n")


@pytest.mark.parametrize("function, code", [("quits", 7), ("forks", 4), ("crashes", -signal.SIGABRT)])
def test_ends_are_those_of_run(forkserver, debuggee, function, code, sanitized):
    entry = f"{debuggee()}:{function}"
    assert forkserver_run(forkserver, "--direct", "--call", entry).returncode == code
    assert forkserver_run(forkserver, "--call", entry).returncode == code


@pytest.mark.parametrize("what", [["true"], ["sh", "-c", "exit 9"], ["/etc/passwd"], ["no-such-program"]])
def test_direct_program(forkserver, what):
    direct, usual = forkserver_run(forkserver, "--direct", *what), forkserver_run(forkserver, *what)
    assert (direct.returncode, direct.stdout, direct.stderr) == (usual.returncode, usual.stdout, usual.stderr)


def test_direct_failures_are_those_of_run(forkserver, debuggee, tmp_path):
    module = debuggee(fails=5)
    for words in (["--preload", "/no/such.so", "true"], ["--call", "/no/such.so:f"], ["--call", f"{module}:no_such"],
                  ["--preload", module, "true"]):
        direct, usual = forkserver_run(forkserver, "--direct", *words), forkserver_run(forkserver, *words)
        assert direct.returncode == usual.returncode == 125
        assert direct.stderr == usual.stderr


@pytest.mark.parametrize("option", ["--socket=/x", "--timeout=1", "--memory=off", "--sandbox=untrusted", "--nice=1",
                                    "--trace=x", "--preload-timeout=3", "--debug=gdb"])
def test_direct_refuses_what_it_cannot_do(forkserver, option):
    result = forkserver_run(forkserver, "--direct", option, "true")
    assert result.returncode == 125 and "--direct" in result.stderr and result.stderr.count("\n") == 1


# ---- run --debug ----


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")
def test_backtrace_in_the_entry_point(forkserver, debuggee, sanitized):
    if sanitized or not can_trace():
        pytest.skip("a sanitizer's build is another; or no process may be traced")
    module = debuggee()
    result = forkserver_run(forkserver, "--debug", "gdb -batch -ex bt", "--preload", module, "--call",
                            f"{module}:work", "x")
    assert re.search(r"#0 .*work \(argc=2", result.stdout) and "fsrv__run_entry" in result.stdout
    assert result.returncode == 2 and re.search(r"^x in \d+$", result.stdout, re.M)


def test_debugging_command_that_does_not_attach(forkserver, debuggee):
    """It has the process stopped, and the process goes on when it has ended."""
    if not can_trace():
        pytest.skip("no process may be traced")
    result = forkserver_run(forkserver, "--debug", "ps -o stat=", "--call", f"{debuggee()}:work")
    assert result.stdout.startswith("T") and result.returncode == 1


def test_signals_while_a_debugger_runs(forkserver, tmp_path):
    """What is sent to `run` is the worker's."""
    if not can_trace():
        pytest.skip("no process may be traced")
    debugger = tmp_path / "debugger"
    debugger.write_text("#!/bin/sh\necho ready\nexec cat\n")
    debugger.chmod(0o755)
    process = subprocess.Popen([forkserver, "run", "--debug", debugger, "sh", "-c", "sleep 60"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    eventually(lambda: not pending(process.pid, signal.SIGTERM))
    process.stdin.close()
    assert process.wait(LIMIT) == -signal.SIGTERM
    process.stdout.close()


def pending(pid, number):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"ShdPnd:\s+(\w+)", file.read())[1], 16) >> (number - 1) & 1


def test_no_such_debugger(forkserver):
    result = forkserver_run(forkserver, "--debug", "no-such-debugger", "sh", "-c", "echo ran")
    assert result.returncode == 125 and result.stdout == ""
    assert "'no-such-debugger' could not be run" in result.stderr or "lets no debugger attach" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user")
def test_tracing_refused(forkserver):
    """A process of another user's is not for us, once we have no privileges."""
    result = forkserver_run(forkserver, "--debug", "touch", "--reuid", 12345, "true", preexec_fn=drop_ptrace)
    assert result.returncode == 125 and "lets no debugger attach" in result.stderr


def drop_ptrace():
    ctypes.CDLL(None).prctl(24, 19, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_SYS_PTRACE: execve(2) leaves it out


# ---- --trace ----


def events_of(path):
    return json.loads(path.read_text())["traceEvents"]


def spans(events):
    return [event for event in events if event["ph"] == "X"]


def test_trace_of_run(forkserver, testmod, tmp_path):
    trace = tmp_path / "trace"
    result = forkserver_run(forkserver, "--trace", trace, "--preload", testmod, "--call", f"{testmod}:exit_with", 3)
    found = {event["name"]: event for event in spans(events_of(trace))}
    assert result.returncode == 3
    assert list(found) == ["server start", "preload", "queue", "spawn", f"{testmod}:exit_with"]
    run = found[f"{testmod}:exit_with"]
    assert run["args"]["exit_code"] == 3 and run["args"]["max_rss_kib"] > 0
    assert abs(found["spawn"]["ts"] + found["spawn"]["dur"] - run["ts"]) < 1


def test_trace_of_map_has_any_item(forkserver, tmp_path):
    trace, items = tmp_path / "trace", [b'q"\\', b"\x01\x1b[31m\x7f", b"\xff\xfe", "é\u0085".encode(), b"x" * 5000]
    subprocess.run([forkserver, "map", "-j2", "--trace", trace, "--", "sh", "-c", 'test "$0" != \'q"\\\''],
                   input=b"\n".join(items) + b"\n", timeout=LIMIT, stderr=subprocess.DEVNULL)
    runs = [event for event in spans(events_of(trace)) if event["cat"] == "run"]
    assert {event["args"]["item"].encode("utf-8", "surrogateescape") for event in runs} == set(items)
    assert sorted(event["args"]["exit_code"] for event in runs) == [0, 0, 0, 0, 1]
    for slot in 1, 2:
        ends = 0
        for event in sorted((e for e in spans(events_of(trace)) if e["tid"] == slot), key=lambda e: e["ts"]):
            assert event["ts"] >= ends - 0.01  # no two on a track overlap
            ends = event["ts"] + event["dur"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_trace_of_a_map_that_is_ended(forkserver, tmp_path, number):
    trace = tmp_path / "trace"
    process = subprocess.Popen([forkserver, "map", "-j1", "--trace", trace, "sh", "-c", "exec $0", ":::", "true",
                                "sleep 1"], stderr=subprocess.DEVNULL)
    eventually(lambda: '"cat": "run"' in trace.read_text() if trace.exists() else False)
    process.send_signal(number)
    assert process.wait(LIMIT) == -number
    assert any(event["cat"] == "run" for event in spans(events_of(trace)))


def test_trace_into_a_fifo(forkserver, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    alone = forkserver_run(forkserver, "--trace", fifo, "true")
    assert alone.returncode == 125 and "nobody reads this FIFO" in alone.stderr
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert forkserver_run(forkserver, "--trace", fifo, "true").returncode == 0
    assert json.loads(os.read(reader, 65536))["traceEvents"]
    os.close(reader)


@pytest.mark.parametrize("command", ["run", "map", "call"])
@pytest.mark.parametrize("path, why", [("/dev/full", "No space left on device"), ("/", "Is a directory")])
def test_trace_that_cannot_be_written(forkserver, testmod, command, path, why):
    what = {"run": ["true"], "map": ["true", ":::", "a"], "call": [f"{testmod}:exit_with"]}[command]
    result = forkserver_run(forkserver, "--trace", path, *what, command=command)
    assert result.returncode == 125 and f"cannot write {path}: {why}" in result.stderr


def test_trace_when_the_disk_fills(forkserver, tmp_path):
    """Here the file's limit is the disk's end. What is there stays valid."""
    trace = tmp_path / "trace"
    result = subprocess.run(["sh", "-c", 'ulimit -f 4; trap "" XFSZ; seq 200 | "$0" map --trace "$1" true', forkserver,
                             trace], capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 125 and "File too large" in result.stderr
    assert len(spans(events_of(trace))) > 5


# ---- probes ----


@pytest.mark.skipif(not shutil.which("readelf"), reason="no readelf")
def test_probes_are_there(build, sanitized):
    compiler = subprocess.run(["cc", "-E", "-include", "sys/sdt.h", "-"], input="", capture_output=True, text=True)
    if compiler.returncode != 0:
        pytest.skip("there is no sys/sdt.h")
    for name, probes in PROBES.items():
        notes = subprocess.run(["readelf", "-n", build / "src" / name], capture_output=True, text=True).stdout
        found = set(re.findall(r"Provider: forkserver\s+Name: (\w+)", notes))
        assert probes <= found, name
