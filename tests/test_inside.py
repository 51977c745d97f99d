# SPDX-License-Identifier: MIT
"""From inside a worker: the server's sockets, other workers' fds and the bytes of other requests are out of reach."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import NOBODY
from spawner import eventually, title
from test_serve import open_directory, serve  # noqa: F401 (fixtures)

MEMORY_FREEZE, MEMORY_OFF = 1, 3  # enum fsrv_memory


class Marker:
    """A word that is nowhere else, and a way to ask for it that doesn't have it in it."""

    def __init__(self, what):
        self.word = f"{what}-{os.urandom(8).hex()}"
        self.hex = self.word.encode().hex()


def kinds_of(fds):
    """{number: what it is} as searches.c prints it."""
    return {int(number): what for number, what in (line.split(" ", 1) for line in fds.splitlines())}


def fds_of(pid):
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return found


@pytest.fixture
def searches(module):
    return module("searches")


@pytest.fixture
def searchable(sanitized):
    if sanitized:
        pytest.skip("a sanitizer's shadow has more memory than can be searched")


# ---- memory ----


@pytest.mark.parametrize("memory", [MEMORY_FREEZE, MEMORY_OFF])
def test_earlier_requests(start, searches, searchable, memory):
    """Neither a standby that waited while they were served knows them, nor one that was forked after."""
    spawner = start()
    spawner.new(preload=[searches], standbys=8, memory=memory)
    spawner("ensure")
    waited = eventually(lambda: (found := set(spawner.standbys())) and len(found) == 8 and found)
    secrets = [Marker(what) for what in ("argv", "environment", "payload", "large")]
    spawner.request(entry=f"{searches}:nothing", argv=["nothing", secrets[0].word],
                    environment=[f"A={secrets[1].word}"],
                    payload=[secrets[2].word, 10])
    assert spawner.spawn().code() == 0
    spawner.request(entry=f"{searches}:nothing", payload=[secrets[3].word, 10000])  # too large for one message
    assert spawner.spawn().code() == 0
    searchers = set()
    for _ in range(12):
        own = Marker("own")
        words = [marker.hex for marker in (*secrets, own)]
        pid, *found = map(int, spawner.output(f"{searches}:search", *words, own.word, environment=[]).split())
        assert found[-1] > 0, "the search itself finds nothing"
        assert found[:-1] == [0, 0, 0, 0]
        searchers.add(pid)
    assert searchers & waited and searchers - waited


@pytest.mark.parametrize("memory", ["freeze", "off"])
def test_refused_requests(build, serve, searches, searchable, open_directory, other_user, memory):
    """A standby that refused one waits on, and runs the next."""
    server = serve("--memory", memory, "--preload", searches, path=open_directory / "socket").wait_until_it_listens()
    for _ in range(6):
        secret, own = Marker("refused"), Marker("own")
        attack = [build / "fuzz" / "attack", "ring", server.path, f"{searches}:{secret.word * 800}", "20", str(NOBODY)]
        assert '"refused":20' in subprocess.check_output(attack, cwd=open_directory, text=True)
        result = server.run("--call", f"{searches}:search", secret.hex, own.hex, own.word)
        _, found, control = map(int, result.stdout.split())
        assert control > 0 and found == 0


# ---- names ----


def paths_of(sockets):
    """Of each "socket:[inode]" its path, or "". The kernel's list may skip one while others come and go."""
    def find():
        lines = pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]
        paths = {f"socket:[{words[6]}]": " ".join(words[7:]) for words in map(str.split, lines)}
        return [paths[what] for what in sockets] if paths.keys() >= set(sockets) else None

    return eventually(find)


def environment_of(pid):
    return set(pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")) - {b"LD_BIND_NOW=forkserver"}


def test_private_server_has_no_name(spawner, testmod):
    """No socket of it can be connected to, and its command line and environment have nothing that its client's
    doesn't."""
    assert spawner.call(f"{testmod}:exit_with", 3).code() == 3
    server, zygote = spawner.server(), spawner.zygote()
    for pid in (server, zygote, *spawner.standbys()):
        sockets = [what for what in fds_of(pid) if what.startswith("socket:")]
        assert sockets and paths_of(sockets) == [""] * len(sockets)
        assert environment_of(pid) <= environment_of(spawner.process.pid)
    assert title(server) == "forkserver: server"
    assert title(zygote).startswith("forkserver: zygote")


# ---- fds ----


def test_fds(start, searches):
    """An entry point has its streams, and two things of its client's: the doorbell to ring, and the lifeline."""
    spawner = start()
    spawner.new(preload=[searches])
    other = spawner("pipe")["fds"][0]
    idle = spawner.spawn(entry=f"{searches}:nothing", actions=[("dup2", other, 9)])
    found = kinds_of(spawner.output(f"{searches}:fds"))
    assert idle.code() == 0
    own = {fd: what for fd, what in found.items() if fd > 2}
    assert sorted(what.split(":")[0] for what in own.values()) == ["pipe", "socket"]
    assert set(own.values()) < fds_of(spawner.process.pid)
    server, zygote = spawner.server(), spawner.zygote()
    for pid in (server, zygote, *spawner.standbys()):
        sockets = {what for what in fds_of(pid) if what.startswith("socket:")}
        assert sockets and not sockets & set(own.values())
    assert spawner.call(f"{searches}:receive").code() == 0


def test_program_has_none(start, searches):
    spawner = start()
    spawner.new(preload=[searches])
    code, text = spawner.code_and_output(program="ls", argv=["ls", "-l", "/proc/self/fd"])
    assert code == 0
    numbers = [int(number) for number in re.findall(r" (\d+) -> ", text)]
    assert sorted(numbers)[:3] == [0, 1, 2] and len(numbers) == 4  # its own listing's


def test_fds_of_a_module_that_is_not_preloaded(start, searches):
    """Its constructors run in the worker, before its entry point is there."""
    spawner = start()
    spawner.new()
    found = kinds_of(spawner.output(f"{searches}:fds_when_loaded"))
    server = {what for what in fds_of(spawner.server()) if what.startswith("socket:")}
    assert not server & set(found.values())
