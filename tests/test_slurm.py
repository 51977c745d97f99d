# SPDX-License-Identifier: MIT
"""`forkserver map` below Slurm, in short: tests/cluster/slurm.py on three nodes of one machine. `./dev cluster slurm`
runs it whole."""

import os
import pathlib
import subprocess
import sys

import pytest

from conftest import DENY
from leftovers import BUILD, PATIENCE

DIRECTORY = pathlib.Path(__file__).resolve().parent / "cluster"
sys.path.insert(0, str(DIRECTORY))
import slurm_nodes  # noqa: E402


@pytest.mark.parametrize("case", ["lost_node", "cancel", "limit", "cost"])
def test_slurm(case):
    if why := DENY and "Slurm's own programs would be denied it as well" or slurm_nodes.missing():
        pytest.skip(why)
    result = subprocess.run([sys.executable, DIRECTORY / "slurm.py", "--short", case], capture_output=True, text=True,
                            timeout=100 * PATIENCE, env=dict(os.environ, FORKSERVER_BUILD=str(BUILD)))
    print(result.stdout + result.stderr)
    assert result.returncode == 0 and f"\n{case}: " in result.stdout
