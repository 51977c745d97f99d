# SPDX-License-Identifier: MIT
"""Many spawns at once, and parts that are killed meanwhile: every status is right, at its own handle."""

import json
import subprocess

import pytest

from leftovers import PATIENCE

LIMIT = 150 * PATIENCE


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 0 and not result.stderr, result.stdout + result.stderr
    return json.loads(result.stdout)


def check_growth(outcome, own=True):
    for name in ("server", "zygote") + (("own",) if own else ()):
        fds, kib = outcome[name]["fds"], outcome[name]["kib"]
        assert fds[0] > 0 and fds[1] <= fds[0], name
        assert kib[1] <= kib[0] + 256, name


def test_every_status(program, testmod, scale, sanitized):
    outcome = run(program("load"), "--threads", 8, "--spawns", scale, "--standbys", 2, testmod)
    assert outcome["right"] == outcome["spawns"] == scale, outcome["first"]
    assert (outcome["workers_left"], outcome["zygote_starts"]) == (0, 1)
    if not sanitized:  # whose memory grows by itself
        check_growth(outcome)


@pytest.mark.parametrize("kind", ["zygote", "standby", "zygote,standby"])
def test_killing(program, testmod, scale, kind):
    kills = 200 if "," in kind else 60
    spawns = scale if "," in kind else scale // 4
    outcome = run(program("load"), "--threads", 8, "--spawns", spawns, "--kills", kills, "--kill", kind, testmod)
    assert outcome["right"] == spawns, outcome
    # the load waits for the killer, but for the last few
    assert sum(outcome["kills"].values()) >= kills - 3, outcome


def test_killing_the_server(program, testmod, scale):
    """Never a false status. One may be lost (where the kernel can't tell), or a spawn fail that met three deaths."""
    spawns = scale // 4
    command = [program("init"), program("load"), "--spawns", spawns, "--kills", 40, "--kill", "server", testmod]
    outcome = run(*command)
    assert outcome["wrong"] == 0, outcome
    assert outcome["right"] + outcome["lost"] + outcome["failed"] == spawns
    assert outcome["kills"]["server"] >= 37
    assert outcome["failed"] <= 5, outcome


def test_killing_everything(program, testmod, scale):
    spawns = scale // 4
    command = [program("init"), program("load"), "--spawns", spawns, "--kills", 100, "--kill", "zygote,standby,server"]
    outcome = run(*command, testmod)
    assert outcome["wrong"] == 0, outcome
    assert outcome["failed"] <= 5, outcome


def test_killing_the_server_where_the_kernel_cannot_tell(program, testmod, scale):
    spawns = scale // 8
    command = [program("deny"), "pidfd_info", "--", program("init"), program("load"), "--spawns", spawns, "--kills", 20]
    outcome = run(*command, "--kill", "server", testmod)
    assert outcome["wrong"] == 0, outcome


@pytest.mark.parametrize("denied", ["sud", "close_range", "pidfd_info", "sud close_range pidfd_info"])
def test_fallbacks(program, testmod, scale, denied):
    """What an older kernel or a sandbox lacks."""
    command = [program("deny"), *denied.split(), "--", program("load"), "--spawns", scale // 4, "--kills", 40, testmod]
    outcome = run(*command)
    assert outcome["right"] == scale // 4, outcome


def test_forks_of_the_caller(program, testmod, sanitized):
    # The allocator of GCC 12's AddressSanitizer is no place for fork() beside other threads: children hang in its
    # locks.
    threads = 0 if sanitized else 3
    outcome = run(program("forked"), testmod, 12, 20 if sanitized else 50, threads)
    assert (outcome["good"], outcome["wrong"], outcome["lost"], outcome["failed"]) == (12, 0, 0, 0), outcome


@pytest.mark.parametrize("standbys", [1, 16])
def test_standbys(program, testmod, scale, standbys):
    outcome = run(program("load"), "--threads", 16, "--spawns", scale // 10, "--standbys", standbys, testmod)
    assert outcome["right"] == scale // 10, outcome
