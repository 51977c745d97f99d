# SPDX-License-Identifier: MIT
"""
How slow this machine is, and how long the tests wait there.

usage: machine.py BUILD      what was measured, in a line, and the patience that follows from it

FORKSERVER_TEST_PATIENCE   by how much the tests' limits are multiplied (set: nothing is measured)
"""

import json
import math
import os
import pathlib
import subprocess
import sys

# What a quick machine needs, in microseconds. A limit of the tests is many times what it is a limit of, so that a
# machine which needs twice as long is no reason to wait longer.
QUICK = {"fork": 300, "fault": 4, "call": 0.5}
NAMES = {"fork": "a fork with its exit", "fault": "a page fault", "call": "a system call"}
MOST = 20


def measure(build):
    return json.loads(subprocess.check_output([pathlib.Path(build) / "tests" / "machine"]))


def follows_from(figures):
    return min(MOST, max(1, *(math.ceil(figures[name] / limit) for name, limit in QUICK.items())))


def patience(build):
    """Measured once: what we start inherits it."""
    if "FORKSERVER_TEST_PATIENCE" not in os.environ:
        try:
            os.environ["FORKSERVER_TEST_PATIENCE"] = str(follows_from(measure(build)))
        except (OSError, subprocess.SubprocessError):  # nothing is built: the caller will say so
            return 1
    return int(os.environ["FORKSERVER_TEST_PATIENCE"])


def main():
    figures = measure(sys.argv[1])
    print(", ".join(f"{NAMES[name]} {figures[name]:g} us" for name in NAMES), file=sys.stderr)
    print(os.environ.get("FORKSERVER_TEST_PATIENCE") or follows_from(figures))


if __name__ == "__main__":
    main()
