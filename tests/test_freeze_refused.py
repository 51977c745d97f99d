# SPDX-License-Identifier: MIT
"""Freezing memory where the system refuses something, or has too little of it: less is done, and it is said why."""

import os
import pathlib
import re
import resource
import signal
import subprocess

import pytest

from conftest import DENY, MISSING
from spawner import LIMIT, eventually
from test_freeze import MIB, WEAKER, execute, run, without_what_is_denied  # noqa: F401 (run is a fixture)
from test_serve import serve  # noqa: F401 (a fixture)


# ---- what the system refuses ----


def without_busy_page(errors):
    """The kernel itself may hold a page for so long that the tries to collapse it are over. That is told, too."""
    return errors.replace("; MADV_COLLAPSE: Resource temporarily unavailable", "")


def limited(what, size):
    return lambda: resource.setrlimit(what, (size, size))


def limit_files(size):
    return limited(resource.RLIMIT_FSIZE, size)


@pytest.mark.parametrize("mode", ["auto", "freeze"])
def test_a_limit_on_the_size_of_files(run, mode):
    _, errors = run("is_not_frozen", mode, preexec_fn=limit_files(4096))  # where the first page would go
    assert without_busy_page(errors) == ("" if mode == "auto" else WEAKER + "writing to the memfd: File too large\n")
    run("is_right", mode, preexec_fn=limit_files(16 * 1024))  # a small mapping may be frozen


def test_a_limit_that_is_reached_on_the_way(run):
    _, errors = run("partly", frozen="large", preexec_fn=limit_files(100 * MIB))
    assert without_busy_page(errors) == WEAKER + "writing to the memfd: File too large\n"
    for function in "allocates", "reallocates", "grows", "advises_zeros", "left_alone":
        run(function, frozen="large", preexec_fn=limit_files(100 * MIB))


# What a remedy is for: after a failure on the way the memfd is not sealed, though part of the memory is mapped from it
def test_what_is_frozen_in_part_cannot_be_written_to(run):
    run("sealed", frozen="large", preexec_fn=limit_files(100 * MIB))


@pytest.mark.parametrize("refused, what", [
    ("memfd_create", "memfd_create: Function not implemented"),
    ("pwrite", "writing to the memfd: No space left on device"),
    ("map_fixed", "mapping the memfd: Cannot allocate memory"),
])
def test_what_is_refused_is_named_and_memory_collapsed(run, program, refused, what):
    deny = [program("deny"), refused, "--"]
    assert run("is_not_frozen", "freeze", before=deny)[1] == WEAKER + what + "\n"
    assert run("is_not_frozen", "auto", before=deny) == ("", "")
    run("is_collapsed", "auto", before=deny)
    for function in "is_right", "allocates", "grows", "advises_zeros", "left_alone":
        run(function, "auto", before=deny)


def test_huge_pages_are_refused(run, program):
    """Frozen memory does without; what would be collapsed stays as it is."""
    deny = [program("deny"), "collapse", "--"]
    assert run("is_frozen", "freeze", before=deny) == ("", "")
    out, errors = run("is_not_frozen", "collapse", before=deny)
    assert errors == "forkserver: memory is not collapsed: MADV_COLLAPSE: Invalid argument\n"
    run("is_right", "collapse", before=deny)
    deny[1:1] = ["memfd_create"]
    _, errors = run("is_not_frozen", "freeze", before=deny)
    assert errors == WEAKER + "memfd_create: Function not implemented; MADV_COLLAPSE: Invalid argument\n"
    assert run("is_right", "auto", before=deny) == ("", "")


@pytest.mark.skipif(bool(DENY), reason="the kernel has one listener for filters")
def test_huge_pages_that_the_kernel_has_not_just_now(forkserver, module, program, build, sanitized):
    """It is asked again, and not for ever."""
    if sanitized:
        pytest.skip("a sanitizer has an allocator and mappings of its own")
    path, asked = module("frozen"), []
    for err in "EINVAL", "EAGAIN":
        before = [program("deny"), "--count", build, "--errno", err, "collapse", "--"]
        result = execute(forkserver, "--memory", "collapse", "--preload", path, "--call", f"{path}:nothing",
                         before=before)
        assert result.returncode == 0 and "forkserver: memory is not collapsed: MADV_COLLAPSE" in result.stderr
        asked.append(int(re.search("collapse, asked for ([0-9]+) times", result.stderr)[1]))
    assert asked[1] > 2 * asked[0] > 0  # how many huge pages fit is chance


def test_what_cannot_be_sealed_is_frozen_all_the_same(run, program):
    deny = [program("deny"), "seal", "--"]
    assert run("is_frozen", "freeze", before=deny)[1] == WEAKER + "sealing the memfd: Operation not permitted\n"
    for function in "allocates", "grows", "advises_zeros":
        run(function, before=deny)


def test_shared_memory_is_full(run):
    """It is no matter: the memfd is on no file system that anybody has mounted."""
    script = 'mount -t tmpfs -o size=64k none /dev/shm && { head -c 1M /dev/zero >/dev/shm/full; exec "$@"; }; exit 77'
    before = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*before, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    out, errors = run("is_frozen", "freeze", before=before)
    assert out == "" and WEAKER not in errors


# ---- too little memory ----


@pytest.mark.parametrize("what", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_a_preload_larger_than_memory(run, forkserver, module, what):
    path = module("frozen")
    result = execute(forkserver, "--preload", path, "--call", f"{path}:is_right", preexec_fn=limited(what, 256 * MIB))
    assert result.returncode == 125
    assert f"module '{path}': its forkserver_preload(): Cannot allocate memory (stage preload)" in result.stderr


def test_there_is_room_for_what_is_loaded_alone(run):
    """Not for the zygote's own mapping of all of it, nor for what collapsing takes."""
    near = limited(resource.RLIMIT_AS, (64 << 30) + 420 * MIB)
    assert run("is_frozen", frozen="large", preexec_fn=near) == ("", "")
    for function in "advises_zeros", "left_alone", "forks":
        run(function, frozen="large", preexec_fn=near)


def own_groups():
    """Where a control group for memory may be made: (directory, its limit's file, the file that has the peak)."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            yield f"/sys/fs/cgroup/memory{path}", "memory.limit_in_bytes", "memory.max_usage_in_bytes"
        if not controllers:  # version 2: beside us, since none with processes has children with controllers
            yield os.path.dirname(f"/sys/fs/cgroup{path}"), "memory.max", "memory.peak"


@pytest.fixture
def group():
    """A control group of our own: its directory, and the names of those two files."""
    for parent, limit, peak in own_groups():
        directory = pathlib.Path(parent, f"forkserver-test-{os.getpid()}")
        try:
            directory.mkdir()
        except OSError:
            continue
        if (directory / limit).exists() and (directory / peak).exists():
            yield directory, limit, peak
            assert eventually(lambda: not (directory / "cgroup.procs").read_text())
            directory.rmdir()
            return
        directory.rmdir()
    pytest.skip("no control group can be made here")


def test_near_a_control_groups_limit(run, group):
    """A process that needs more than that for a moment is killed."""
    directory, limit, peak = group
    join = {"preexec_fn": lambda: (directory / "cgroup.procs").write_text("0")}
    run("is_right", "off", **join)
    most = int((directory / peak).read_text())
    assert eventually(lambda: not (directory / "cgroup.procs").read_text())
    (directory / limit).write_text(str(most + 8 * MIB))
    assert run("is_frozen", "freeze", **join) == ("", "")
    assert int((directory / peak).read_text()) <= most + 8 * MIB
    run("is_right", "freeze", **join)


@pytest.mark.parametrize("room", [1024, 1536])
def test_at_a_control_groups_limit(run, group, room):
    """Below what freezing needs the kernel kills the zygote; then the next weaker mode, and correct children."""
    directory, limit, peak = group
    join = {"preexec_fn": lambda: (directory / "cgroup.procs").write_text("0")}
    run("is_right", "off", **join)
    most = int((directory / peak).read_text())
    assert eventually(lambda: not (directory / "cgroup.procs").read_text())
    (directory / limit).write_text(str(most + room * 1024))
    _, errors = run("is_right", "freeze", **join)
    assert not errors or errors.startswith(WEAKER)


@pytest.fixture
def serve_killed(serve, module, preloadable, sanitized):
    """A named server whose zygotes are killed, by the module that is loaded first, and the one that they preload."""
    if sanitized:
        pytest.skip("a sanitizer has to be loaded first")

    def serve_one(kills):
        environment = ["env", f"LD_PRELOAD={preloadable('killed_freezing')}", f"KILLED_FREEZING={kills}", "FROZEN="]
        path = module("frozen")
        server = serve("--preload", path,
                       wrap=lambda *command: [*environment, *map(str, command)]).wait_until_it_listens()
        return server, lambda: server.run("--call", f"{path}:is_right")

    return serve_one


@pytest.mark.parametrize("kills, zygotes, why", [
    ("freeze", 3, "zygotes were killed while they froze it"),
    ("collapse", 4, "zygotes were killed while they froze it; zygotes were killed while they collapsed it"),
])
def test_zygotes_killed_while_freezing(serve_killed, kills, zygotes, why):
    """The second makes less be done, and so it stays."""
    server, call = serve_killed(kills)
    for restarts in range(3):
        assert call().returncode == 0
        assert eventually(lambda: server.read_log().count("MiB frozen") == restarts + 1)
        stats = server.stats()
        assert stats["zygote_starts"] == zygotes + restarts
        assert (without_what_is_denied(stats["memory_why"]), stats["memory_frozen"]) == (why, 0)
        if "collapse" not in MISSING:
            assert (stats["memory_collapsed"] > 0) == (kills == "freeze")
        os.kill(stats["zygote_pid"], signal.SIGKILL)
    assert why in server.read_log()


def test_one_zygote_killed_while_freezing(serve_killed, tmp_path):
    """By somebody's whim, now and then: the next one freezes as asked."""
    once = tmp_path / "once"
    once.touch()
    server, call = serve_killed(once)
    for i in range(3):
        assert call().returncode == 0
        assert eventually(lambda: server.read_log().count("MiB frozen") == i + 1)
        stats = server.stats()
        assert stats["memory_frozen"] > 0 and not stats["memory_why"] and stats["zygote_starts"] == 2 * (i + 1)
        once.touch()
        os.kill(stats["zygote_pid"], signal.SIGKILL)


def test_a_control_group_without_room_for_the_preload(run, forkserver, module, group):
    directory, limit, _ = group
    (directory / limit).write_text(str(60 * MIB))
    path = module("frozen")
    result = execute(forkserver, "--preload", path, "--call", f"{path}:is_right",
                     preexec_fn=lambda: (directory / "cgroup.procs").write_text("0"))
    assert result.returncode == 125 and f"killed by SIGKILL while it loaded module '{path}'" in result.stderr


def test_without_pagemap_scan(run, program):
    """What Linux before 6.7 has instead gives the same."""
    deny = [program("deny"), "pagemap_scan", "--"]
    assert run("sizes", before=deny) == run("sizes")
    for function in "is_frozen", "has_holes", "allocates":
        run(function, before=deny)
    for what in "zeros", "huge zeros", "written zeros":
        run("has_holes", frozen=what, before=deny)
