# SPDX-License-Identifier: MIT
"""Test runs don't see one another, nor what else runs on the machine; and nothing of them stays."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

import alone
from leftovers import descendants
from spawner import LIMIT, eventually, state

HERE = pathlib.Path(__file__).parent
ALONE = HERE / "alone.py"
ANEW = {name: value for name, value in os.environ.items() if name != alone.MARK}
NAME = f"fsrv-test-alone-{os.getpid()}"


@pytest.fixture(scope="module", autouse=True)
def can_be_had():
    if subprocess.run([sys.executable, ALONE, "sh", "-c", f"test ${alone.MARK} = 1"], env=ANEW).returncode != 0:
        pytest.skip("no namespaces here")


def run(*command, **options):
    return subprocess.run([sys.executable, ALONE, *command], env=ANEW, capture_output=True, text=True, timeout=LIMIT,
                          **options)


def test_foreign_things_are_not_seen():
    """A file in shared memory, one in /tmp, a queue and a process."""
    queue = subprocess.check_output(["ipcmk", "-Q"], text=True).split()[-1]
    paths = [pathlib.Path("/dev/shm", NAME), pathlib.Path("/tmp", NAME)]
    other = subprocess.Popen(["sleep", "1000.25"])
    try:
        for path in paths:
            path.touch()
        result = run("sh", "-c", f"ls /dev/shm; ls /tmp; ipcs -q -i {queue} 2>&1; pgrep -fxa 'sleep 1000.25'")
        assert NAME not in result.stdout
        assert "msqid=" not in result.stdout
        assert "1000.25" not in result.stdout
    finally:
        other.kill()
        other.wait()
        for path in paths:
            path.unlink()
        subprocess.run(["ipcrm", "-q", queue], check=True)


def test_leftovers_go_with_the_run():
    script = f"touch /dev/shm/{NAME} /tmp/{NAME}; ipcmk -Q >/dev/null; setsid sleep 1000.5 >/dev/null 2>&1 & exit 7"
    before = subprocess.check_output(["ipcs", "-q"])
    assert run("sh", "-c", script).returncode == 7
    assert not descendants(os.getpid())
    assert not os.path.exists(f"/dev/shm/{NAME}") and not os.path.exists(f"/tmp/{NAME}")
    assert subprocess.check_output(["ipcs", "-q"]) == before


def test_run_ends_with_its_starter():
    process = subprocess.Popen([sys.executable, ALONE, "sleep", "1000"], env=ANEW)
    assert eventually(lambda: len(descendants(process.pid)) == 3)
    inside = descendants(process.pid)
    process.kill()
    process.wait()
    assert eventually(lambda: all(state(pid) == "gone" for pid in inside))


def test_a_checkout_below_tmp_stays_to_be_seen(tmp_path):
    """As in a fresh clone for a try."""
    place = pathlib.Path("/tmp", NAME)
    place.mkdir()
    try:
        (place / "file").write_text("here")
        assert run("cat", "file", cwd=place).stdout == "here"
    finally:
        (place / "file").unlink()
        place.rmdir()


def test_temporary_files_are_below_the_tmp_of_its_own(tmp_path):
    """Wherever TMPDIR points to, and whatever is strange about its name."""
    place = tmp_path / "a name with spaces"
    place.mkdir()
    environment = {**ANEW, "TMPDIR": str(place)}
    result = subprocess.run([sys.executable, ALONE, "mktemp"], env=environment, capture_output=True, text=True)
    assert result.stdout.startswith("/tmp/")
    script = (f"import sys, tempfile; sys.path.insert(0, {str(HERE)!r}); tempfile.gettempdir(); "
              "import alone; alone.enter(); print(tempfile.gettempdir())")
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert result.stdout == "/tmp\n" and not os.listdir(place)


@pytest.mark.parametrize("code", ["exit 3", "kill -9 $$"])
def test_exit_code_is_the_commands(code):
    assert run("sh", "-c", code).returncode == (3 if "exit" in code else 128 + signal.SIGKILL)


TEST = """
import os, pathlib

def test_beside_another_program():
    pathlib.Path("/dev/shm/sem.{name}").touch()  # made by somebody else meanwhile

def test_beside_another_run():
    pathlib.Path("/dev/shm/{name}-1").touch()

def test_what_is_ours_is_found():
    pathlib.Path(f"/dev/shm/{name}-{{os.getpid()}}").touch()
"""


def test_where_no_namespaces_can_be_had(tmp_path):
    """Another program's shared memory, or another run's, is nobody's leftover; a test's own is."""
    (tmp_path / "test_case.py").write_text(TEST.format(name=NAME))
    conftest = f"import sys\nsys.path.insert(0, {str(HERE)!r})\nfrom conftest_real import *\n"
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "conftest_real.py").symlink_to(HERE / "conftest.py")
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", tmp_path]
    try:
        result = subprocess.run(command, env={**ANEW, alone.MARK: "0"}, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True,
                                timeout=LIMIT)
        assert "3 passed, 1 error" in result.stdout, result.stdout + result.stderr
        found = re.findall(r"/dev/shm/[^\s;]+", result.stdout.split("left behind: ")[1])
        assert found == [f"/dev/shm/{NAME}-{pid}" for pid in re.findall(rf"{NAME}-(\d{{2,}})", found[0])]
    finally:
        for path in [*pathlib.Path("/dev/shm").glob(f"{NAME}-*"), pathlib.Path("/dev/shm", f"sem.{NAME}")]:
            path.unlink(missing_ok=True)
