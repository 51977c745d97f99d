# SPDX-License-Identifier: MIT
"""The modes in which tests run: every test is in a list, and a mode that denies nothing fails."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from conftest import DENY
from modes import MODES, OLDEST
from spawner import LIMIT

HERE = pathlib.Path(__file__).parent
MODES_PY = HERE / "modes.py"


def test_meson_knows_every_file():
    listed = re.search(r"^integration = \{(.*?)^\}", (HERE / "meson.build").read_text(), re.M | re.S)[1]
    assert set(re.findall(r"'(\w+)'", listed)) == {path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")}


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "plain"])
def test_the_chosen_tests_are_there(mode):
    lines = [line for line in (HERE / "modes" / mode).read_text().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        path, name = re.match(r"tests/(test_\w+\.py)::(\w+)", line).groups()
        assert re.search(rf"^def {name}\(", (HERE / path).read_text(), re.M), line


def missed(tmp_path, text):
    (tmp_path / "hits").write_text(text)
    command = [sys.executable, MODES_PY, "missed", "oldest", tmp_path / "hits"]
    return subprocess.run(command, capture_output=True, text=True)


def test_all_files_together_have_to_miss_what_is_denied(tmp_path):
    some = "".join(f"{feature} 0\n{feature} 2\n" for feature in OLDEST[1:])
    assert missed(tmp_path, f"{OLDEST[0]} 1\n{some}").returncode == 0
    result = missed(tmp_path, f"{OLDEST[0]} 0\n{some}")
    assert result.returncode == 1 and f"{OLDEST[0]} was missed 0 times" in result.stdout


@pytest.mark.skipif(bool(DENY), reason="the kernel has one listener for filters")
def test_a_file_keeps_what_each_run_missed(forkserver, program, build, testmod, tmp_path):
    for _ in range(2):
        command = [program("deny"), "--count", build, "close_range", "memfd_create", "--", forkserver, "run", "--call",
                   f"{testmod}:exit_with", "0"]
        environment = {**os.environ, "FORKSERVER_TEST_HITS": str(tmp_path / "hits")}
        result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
        assert (result.returncode, result.stderr) == (0, "")
    lines = sorted((tmp_path / "hits").read_text().splitlines())
    assert len(lines) == 4 and lines[2:] == ["memfd_create 0"] * 2
    assert all(re.fullmatch(r"close_range [1-9]\d*", line) for line in lines[:2])
