# SPDX-License-Identifier: MIT
"""fsrv_spawn_many(): several requests on their way at once."""

import os
import resource
import signal

import pytest

from spawner import Failure, children, eventually, state


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 100, 1000])
def test_all_are_created(spawner, testmod, n):
    soft, hard = resource.prlimit(spawner.process.pid, resource.RLIMIT_NOFILE)
    # each handle has two fds
    resource.prlimit(spawner.process.pid, resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    made, why = spawner.spawn_many(n, entry=f"{testmod}:exit_with", argv=["x", "9"])
    assert len({process.pid for process in made}) == n and why == ("none", "")
    assert {process.code() for process in made} == {9}


def test_each_has_the_requests_fds(spawner, testmod, tmp_path):
    out = spawner("open", tmp_path / "out", os.O_CREAT | os.O_RDWR | os.O_APPEND)["result"]
    many, _ = spawner.spawn_many(50, program="/bin/echo", argv=["echo", "x"], actions=[("dup2", out, 1)])
    assert [process.code() for process in many] == [0] * 50
    assert (tmp_path / "out").read_text() == "x\n" * 50


@pytest.mark.parametrize("n", [0, 65537])
def test_numbers_that_are_none(spawner, testmod, n):
    with pytest.raises(Failure) as failure:
        spawner.spawn_many(n, entry=f"{testmod}:exit_with")
    assert failure.value.errno == "EINVAL"


def test_none_can_be_made(spawner, testmod):
    with pytest.raises(Failure) as failure:
        spawner.spawn_many(40, entry=f"{testmod}:not_there")
    assert failure.value.errno == "ENOENT" and "not_there" in failure.value.answer["why"]
    assert failure.value.answer["why_stage"] == "entry"


def test_some_can_be_made(spawner, testmod):
    """The reason comes with those that there are; nothing else runs."""
    used = spawner("count_fds")["result"]
    spawner("limit", "nofile", used + 40)
    made, (stage, why) = spawner.spawn_many(100, entry=f"{testmod}:exit_with", argv=["x", "3"])
    spawner("limit", "nofile", 1024)
    assert 5 <= len(made) < 40 and "open files" in why, (len(made), stage, why)
    assert {process.code() for process in made} == {3}
    assert eventually(lambda: spawner.stats()["workers"] == 0)


def test_fds_stay_the_same(spawner, testmod):
    for process in spawner.spawn_many(20, entry=f"{testmod}:exit_with", argv=["x", "0"])[0]:
        process.code()
        process.unref()
    before = spawner("count_fds")["result"]
    for _ in range(3):
        with pytest.raises(Failure):
            spawner.spawn_many(40, entry=f"{testmod}:not_there")
    assert spawner("count_fds")["result"] == before


def test_while_parts_are_killed(spawner, testmod):
    spawner.request(entry=f"{testmod}:exit_with", argv=["x", "4"])
    spawner("ensure")
    for _ in range(10):
        zygote, server = spawner.zygote(), spawner.server()
        spawner.ask("spawn_many", 200)
        for pid in (*children(server), zygote):
            if pid != zygote:
                try:
                    os.kill(pid, signal.SIGSTOP)
                    if open(f"/proc/{pid}/cmdline").read().startswith("forkserver: standby"):
                        os.kill(pid, signal.SIGKILL)
                    os.kill(pid, signal.SIGCONT)
                except (ProcessLookupError, FileNotFoundError):
                    pass
        os.kill(zygote, signal.SIGKILL)
        answer = spawner.answer()
        assert answer["result"] == 200, answer["why"]
        for i in range(200):
            assert spawner("wait", answer["first"] + i, 60000)["exit_code"] == 4
            spawner("unref", answer["first"] + i)
    assert state(spawner.server()) != "gone"
