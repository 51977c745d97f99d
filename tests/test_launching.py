# SPDX-License-Identifier: MIT
"""A server that takes its time to start: only a call that needs it waits for it, and each no longer than it wants to.
Waiting until a server is ready."""

import subprocess

import pytest

from leftovers import PATIENCE
from test_serve import serve  # noqa: F401 (a fixture)
from spawner import eventually
from test_spawn import refused

LIMIT = 60 * PATIENCE


@pytest.fixture
def slow(build, tmp_path):
    """A directory with a server that takes until there is a file "go", and says that it has begun."""
    server = tmp_path / "forkserver-server"
    server.write_text(f"""#!/bin/sh
printf x >>'{tmp_path}/begun'
until [ -e '{tmp_path}/go' ]; do sleep 0.01; done
exec '{build}/src/forkserver-server'
""")
    server.chmod(0o755)
    return tmp_path


def say_nothing(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_threads_wait_for_their_own_sake_alone(program, slow):
    say_nothing(program("launching"), slow)


def test_asynchronous(program, slow):
    say_nothing(program("asynchronous"), slow)


def test_event_loop(build):
    """examples/event-loop.c"""
    command = [build / "examples" / "event-loop", "5"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT).stdout.splitlines()
    assert sorted(lines) == [*(f"job {i} exited with 7" for i in range(5)), "the clock ticked on: yes"]


READY = LIMIT * 1000


def test_ready(start, testmod):
    spawner = start()
    spawner.new(preload=[testmod])
    spawner("ready", READY)
    assert eventually(lambda: spawner.stats()["standbys"] > 0)  # the server may hear of it later than we
    stats = spawner.stats()
    assert stats["claims"] == stats["spawns"] == 0
    assert spawner.call(f"{testmod}:exit_with", 5).code() == 5
    spawner("ready", READY)


def test_a_named_server_is_ready(start, serve, testmod):  # noqa: F811
    server = serve("--preload", testmod).wait_until_it_listens()
    spawner = start()
    spawner("connect", server.path)
    spawner("ready", READY)
    assert server.stats()["standbys"] > 0


def test_never_ready(start, module, testmod):
    """The cause is told, of a module that fails as of one that still loads."""
    spawner = start(stderr=subprocess.DEVNULL)
    spawner.new(preload=[testmod, module("preload_fails")], policy="fail")
    failure = refused(spawner, "ready", READY)
    assert failure.stage == "preload" and "preload_fails" in failure.text
    spawner.new(preload=[module("hang_on_load")], preload_timeout=READY)
    failure = refused(spawner, "ready", 50)
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "queue") and "still loading" in failure.text
    spawner("free")


# ---- what else happens in the program ----


@pytest.mark.parametrize("what", [["forks"], ["many", 300], ["copy"]])
def test_crowd(program, what):
    """Children that another thread forks and that live on; hundreds of spawns in an epoll; a copy of a handle."""
    result = subprocess.run([program("crowd"), *map(str, what)], capture_output=True, text=True, timeout=LIMIT)
    assert (result.stdout, result.stderr) == ("right\n", "")


def test_cancel_while_a_module_loads(program, module):
    """Its constructor hangs: the process is ended, and the server has nothing to wait for."""
    result = subprocess.run([program("crowd"), "cancel", module("hang_on_load")], capture_output=True, text=True,
                            timeout=LIMIT)
    assert result.stdout == "right\n"
