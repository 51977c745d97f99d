# SPDX-License-Identifier: MIT
"""Strange places: what the system has otherwise than usual where the library runs."""

import shutil
import subprocess

import pytest

from conftest import as_nobody
from leftovers import PATIENCE

LIMIT = 30 * PATIENCE


def outcome(*command, **options):
    """Standard output and error, and the exit code."""
    options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=LIMIT, **options)
    return result.stdout, result.stderr, result.returncode


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}(1)")


# ---- libraries that stand in for the C library's calls ----


def test_fakeroot(forkserver, other_user, sanitized, tmp_path):
    """It has geteuid(3) say 0; the kernel knows better."""
    need("fakeroot")
    if sanitized:
        pytest.skip("the sanitizer's runtime has to come first")
    assert outcome(*as_nobody("fakeroot", forkserver, "run", "id", "-u"), cwd="/tmp") == ("0\n", "", 0)


def test_time_that_stands_nearly_still(forkserver, sanitized):
    """A limit of 0.2 s would take 200 s, and the program's second 1,000 s."""
    need("faketime")
    if sanitized:
        pytest.skip("the sanitizer's runtime has to come first")
    faked = ["faketime", "-f", "+1d x0.001", forkserver, "run"]
    assert outcome(*faked, "echo", "here") == ("here\n", "", 0)
    assert "it ran longer" in outcome(*faked, "--timeout", "0.2", "sleep", "1")[1]
