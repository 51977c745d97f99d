# SPDX-License-Identifier: MIT
"""The library used by many threads at once, with forks in between: as it is, under ThreadSanitizer, and in valgrind."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import DENY
from leftovers import PATIENCE, descendants
from spawner import eventually

LIMIT = 150 * PATIENCE


def run(*command, threads, rounds, forks, seconds=1000):
    words = [*command, str(threads), str(rounds), str(forks), str(seconds)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT)
    # valgrind says, besides what it finds, which system calls it doesn't know
    is_silent = result.stderr == "" or command[0] == "valgrind"
    assert result.returncode == 0 and is_silent, result.stdout + result.stderr[-4000:]
    outcome = json.loads(result.stdout)
    spawns = threads * rounds
    assert (outcome["right"], outcome["wrong"], outcome["lost"], outcome["failed"]) == (spawns, 0, 0, 0), outcome
    assert (outcome["children"], outcome["other_errors"], outcome["fds_left"]) == (forks, 0, 0), outcome
    # servers, zygotes and the tracker, which a busy machine lets end late
    assert eventually(lambda: not descendants(os.getpid()) or reaped())


def reaped():
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def once():
    if DENY:
        pytest.skip("once is enough: in the plain run")


def test_threads(program, testmod, sanitized):
    # The allocator of GCC 12's AddressSanitizer is no place for fork() beside other threads: children hang in its
    # locks.
    run(program("threads"), testmod, threads=32, rounds=24, forks=0 if sanitized else 12)


def test_under_thread_sanitizer(build, program, testmod):
    once()
    if not (build / "tests" / "threads-tsan").exists():
        pytest.skip("no ThreadSanitizer in this build")
    # a layout with more random bits than it knows ends it
    setarch = ["setarch", "-R"] if shutil.which("setarch") else []
    run(*setarch, program("threads-tsan"), testmod, threads=32, rounds=24, forks=12)


def test_in_valgrind(program, testmod, sanitized):
    once()
    if sanitized or shutil.which("valgrind") is None:
        pytest.skip("needs valgrind, and a build without a sanitizer")
    valgrind = ["valgrind", "--vgdb=no", "--show-leak-kinds=definite,indirect", "-q", "--leak-check=full",
                "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99"]
    # Without forks: what a child's other threads had is lost to it.
    run(*valgrind, program("threads"), testmod, threads=8, rounds=10, forks=0, seconds=0.05)
