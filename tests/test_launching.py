# SPDX-License-Identifier: MIT
"""A server that takes its time to start: nobody but who needs it waits for it, and each no longer than it wants to."""

import subprocess

from leftovers import PATIENCE

LIMIT = 60 * PATIENCE


def test_nobody_waits_for_others(build, program, tmp_path):
    slow = tmp_path / "forkserver-server"
    slow.write_text(f"""#!/bin/sh
printf x >>'{tmp_path}/begun'
until [ -e '{tmp_path}/go' ]; do sleep 0.01; done
exec '{build}/src/forkserver-server'
""")
    slow.chmod(0o755)
    result = subprocess.run([program("launching"), tmp_path], capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
