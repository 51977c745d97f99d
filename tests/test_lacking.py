# SPDX-License-Identifier: MIT
"""Sandboxes where the kernel lacks something, or another sandbox hides it: what is reported, that --strict fails, and
that the rest is still enforced. (With the program deny; each older landlock is tried by tests/unit/test_lock.c.)"""
import subprocess

import pytest

from conftest import DENY
from spawner import LIMIT

pytestmark = pytest.mark.skipif(bool(DENY), reason="denies by itself")

SHOW = "cat /etc/passwd >/dev/null && echo file; python3 -c 'import socket; socket.socket()' 2>/dev/null && echo socket"


@pytest.fixture
def run(forkserver, program):
    def run(features, *arguments, errno=()):
        command = [program("deny"), *errno, *features, "--", forkserver, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd="/")
    return run


def gaps(run, features, sandbox):
    result = run(features, "check", "--sandbox", sandbox)
    return [line for line in result.stdout.splitlines() if not line.startswith("enforced ")]


@pytest.mark.parametrize("feature, missing, shown", [
    ("landlock", "landlock", "file\n"),
    ("seccomp", "seccomp", "socket\n"),
])
def test_no_landlock_and_no_filters(run, feature, missing, shown):
    lines = gaps(run, [feature], "untrusted")
    assert lines and all(missing in line for line in lines)
    assert run([feature], "run", "--sandbox", "untrusted", "sh", "-c", SHOW).stdout == shown
    result = run([feature], "run", "--sandbox", "untrusted", "--strict", "sh", "-c", SHOW)
    assert (result.returncode, result.stdout) == (125, "")
    assert "cannot be enforced here" in result.stderr and result.stderr.count("\n") == 1


def test_landlock_is_switched_off(run):
    result = run(["landlock"], "check", "--sandbox", "untrusted", errno=["--errno", "EOPNOTSUPP"])
    assert "not enforced" in result.stdout and "lsm=" in result.stdout


def test_no_namespaces(run):
    """As in a container by default. Profiles need none; mounts that can't be made are not left out."""
    features = ["unshare", "clone_namespace", "clone3"]
    assert gaps(run, features, "untrusted") == []
    assert run(features, "run", "--sandbox", "untrusted", "--strict", "sh", "-c", "echo ran").stdout == "ran\n"
    assert [line.split()[:2] for line in gaps(run, features, "none,tmpfs=/tmp")] == [["not", "enforced"]]
    for strict in ([], ["--strict"]):
        result = run(features, "run", "--tmpfs", "/tmp", *strict, "echo", "ran")
        assert (result.returncode, result.stdout) == (125, "") and "namespace" in result.stderr


@pytest.mark.parametrize("feature", ["open_tree", "mount_setattr"])
def test_no_mounts_by_fd(run, feature):
    result = run([feature], "run", "--ro-bind", "/usr:/mnt", "echo", "ran")
    assert (result.returncode, result.stdout) == (125, "")
    assert "mounting '/usr' at '/mnt'" in result.stderr and "not implemented" in result.stderr
