# SPDX-License-Identifier: MIT
"""What the kernel, or a sandbox, does not have: of some things there is a fallback, on which the mode "oldest" runs the
tests that differ, and with ./dev test --long all; of the others it is said at once. (With the program deny; on what it
does see its own test here.)"""

import subprocess

import pytest

from conftest import DENY
from spawner import LIMIT
from test_badinput import serves
from test_spawn import refused

ERRNOS = ["ENOSYS", "EPERM", "EINVAL"]


@pytest.fixture
def without(start, program):
    return lambda feature, err: start(before=[program("deny"), "--errno", err, feature, "--"],
                                      stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("err", ERRNOS)
@pytest.mark.parametrize("feature", ["pidfd_open", "pidfd_send_signal", "wait_pidfd"])
def test_no_pidfds(without, testmod, feature, err):
    """No exit status could be told: so there is no server, in no half-working state."""
    spawner = without(feature, err)
    spawner.new(preload=[testmod])
    for _ in range(2):
        failure = refused(spawner.spawn, program="true")
        assert (failure.errno, failure.stage) == (err, "start") and "pidfd" in failure.text


def test_no_pidfds_for_a_named_server(forkserver, program, tmp_path):
    command = [program("deny"), "pidfd_open", "--", forkserver, "serve", "--socket", tmp_path / "socket"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 125 and "pidfd" in result.stderr and "not implemented" in result.stderr
    assert not (tmp_path / "socket").exists()


@pytest.mark.parametrize("err", ERRNOS)
def test_forking_twice_without_a_subreaper(start, program, testmod, err):
    """Nobody forks on and on for a server that doesn't become their parent."""
    spawner = start(before=[program("deny"), "--errno", err, "sud", "subreaper", "--"], stderr=subprocess.DEVNULL)
    spawner.new(preload=[testmod])
    for _ in range(2):
        failure = refused(spawner.spawn, program="true")
        assert (failure.errno, failure.stage) == (err, "start") and "orphans" in failure.text


@pytest.mark.parametrize("err", ERRNOS)
@pytest.mark.parametrize("feature", ["memfd_create", "seal"])
def test_no_sealed_memory(without, testmod, feature, err):
    """Requests over 64 KiB need it, and freezing; nothing else does."""
    spawner = without(feature, err)
    spawner.new(preload=[testmod])
    assert serves(spawner, testmod)
    failure = refused(spawner.call, f"{testmod}:exit_with", 0, environment=["A=" + "x" * 100000])
    assert (failure.errno, failure.stage) == (err, "argument") and "bytes" in failure.text
    assert serves(spawner, testmod)


@pytest.mark.skipif(bool(DENY), reason="the kernel has one listener for filters")
def test_counting(forkserver, program, build, testmod):
    """What was not missed is a failure, and only what programs of ours miss is counted."""
    counting = [program("deny"), "--count", build]
    spawn = [forkserver, "run", "--call", f"{testmod}:exit_with", "0"]
    both = subprocess.run([*counting, "close_range", "memfd_create", "--", *spawn], capture_output=True, text=True,
                          timeout=LIMIT)
    assert both.returncode == 1 and "deny: memfd_create, asked for 0 times" in both.stderr
    assert "deny: close_range, asked for 0 times" not in both.stderr
    one = subprocess.run([*counting, "close_range", "--", *spawn], capture_output=True, text=True, timeout=LIMIT)
    assert one.returncode == 0
    script = "import ctypes; ctypes.CDLL(None).memfd_create(b'x', 0)"
    other = subprocess.run([*counting, "memfd_create", "--", "/usr/bin/python3", "-c", script], capture_output=True,
                           text=True)
    assert other.returncode == 1 and "deny: memfd_create, asked for 0 times" in other.stderr
