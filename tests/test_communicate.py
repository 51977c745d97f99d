# SPDX-License-Identifier: MIT
"""fsrv_communicate(): its program says what is wrong."""

import subprocess

from leftovers import PATIENCE


def test_communicate(program):
    result = subprocess.run([program("communicate")], capture_output=True, text=True, timeout=120 * PATIENCE)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
