# SPDX-License-Identifier: MIT
"""The fixture that finds what a test left behind finds it."""

import os
import pathlib
import subprocess
import sys

import pytest

from spawner import LIMIT

HERE = pathlib.Path(__file__).parent
SHARED = f"forkserver-test-fixture-{os.getpid()}"  # and the pid of the test that leaves it

CASES = {
    "nothing": ("pass", None),
    "child": ("subprocess.Popen(['sleep', '1000'])", "sleep 1000"),
    "orphan": ("subprocess.run(['sh', '-c', 'sleep 1001 & exit 0'])", "sleep 1001"),
    "daemon": ("subprocess.run(['sh', '-c', 'setsid sleep 1002 & exit 0'])", "sleep 1002"),
    "server": ("start_one(program, testmod)", "forkserver: server"),
    "fd": ("os.dup(0)", "fd "),
    "shared memory": (f"open(f'/dev/shm/{SHARED}-{{os.getpid()}}', 'w').close()", f"/dev/shm/{SHARED}"),
    "file": ("tempfile.mkstemp(prefix='left-over'); os.closerange(10, 100)", "left-over"),
    "socket": ("with socket.socket(socket.AF_UNIX) as s: s.bind(tempfile.mktemp(prefix='left-sock'))", "left-sock"),
    "one that ends": ("subprocess.Popen(['sleep', '0.2'])", None),
}

TEST = """
import os, socket, subprocess, tempfile

def start_one(program, testmod):
    # A worker holds its server's doorbell
    from spawner import Spawner
    spawner = Spawner([program("spawner")])
    spawner.new(preload=[testmod])
    spawner.call(f"{{testmod}}:hang")
    spawner.die()
    spawner.file.close()
    spawner.socket.close()

def test_case(program, testmod):
    {code}

def test_next():
    pass
"""


@pytest.mark.parametrize("case", CASES)
def test_leftovers(case, tmp_path):
    code, found = CASES[case]
    (tmp_path / "test_case.py").write_text(TEST.format(code=code))
    paths = f"import sys\nsys.path.insert(0, {str(HERE)!r})\n"
    (tmp_path / "conftest.py").write_text(paths + "from conftest_real import *\n")
    (tmp_path / "conftest_real.py").symlink_to(HERE / "conftest.py")
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/base", f"--rootdir={tmp_path}"]
    command = [sys.executable, "-B", "-m", "pytest", *options, tmp_path]
    environment = {**os.environ, "FORKSERVER_TEST_PATIENCE": "1"}  # what is left never ends: no reason to wait for it
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * LIMIT,
                            env=environment)
    try:
        assert "2 passed" in result.stdout, result.stdout + result.stderr
        if found:
            assert result.returncode == 1 and "1 error" in result.stdout
            assert "left behind: " in result.stdout and found in result.stdout.split("left behind: ", 1)[1]
        else:
            assert result.returncode == 0 and "error" not in result.stdout
    finally:
        for path in pathlib.Path("/dev/shm").glob(f"{SHARED}-*"):
            path.unlink()


def test_fixture_is_on(request):
    assert "nothing_left" in request.fixturenames


def test_environment(build):
    assert os.environ["FORKSERVER_HELPERS"] == str(build / "src")
