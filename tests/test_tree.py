# SPDX-License-Identifier: MIT
"""A server that is below its program in the tree of processes, and calls that their caller ends."""

import json
import os
import subprocess

import pytest

from leftovers import PATIENCE

EINTR = -4


def run(*command, **environment):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60 * PATIENCE,
                            env={**os.environ, **environment})
    if result.returncode == 77:
        pytest.skip("the kernel doesn't have what the test needs")
    assert result.returncode == 0 and result.stderr == "", result.stdout + result.stderr
    return json.loads(result.stdout)


def test_below_the_program_and_unseen(program, testmod):
    assert run(program("tree"), testmod) == {
        "below": True, "running": "there", "stopped": "none", "end": 0, "ended": "none", "forked": 0, "signals": 0}


def test_where_the_copy_cannot_live(program, testmod, preloadable, sanitized):
    """Its large memory is left out, and somebody's stand-in for a call needs it: the server is nobody's child then."""
    if sanitized:
        pytest.skip("AddressSanitizer wants to be the first that is preloaded")
    outcome = run(program("tree"), testmod, LD_PRELOAD=preloadable("greedy"))
    assert (outcome["below"], outcome["end"], outcome["forked"], outcome["signals"]) == (False, 0, 0, 0)


def test_where_no_copy_can_be_made(program, testmod):
    outcome = run(program("tree"), testmod, "refused")
    # with no anchor to wait for, it is not known whether the server has ended
    assert outcome == {
        "below": False, "running": "none", "stopped": "none", "end": 0, "ended": "none", "forked": 0, "signals": 0}


def test_a_call_that_its_caller_ends(program, tmp_path):
    outcome = run(program("interrupt"), tmp_path / "written")
    assert outcome == {"result": EINTR, "stage": "queue", "checks": 3, "by_signal": EINTR, "signals": 1,
                       "stats": EINTR, "stop": EINTR, "after": 0}
    assert (tmp_path / "written").read_text() == "before\nafter\n"
