# SPDX-License-Identifier: MIT
"""
An adversary in a sandbox: tests/modules/escapes/ tries some 300 ways out, each in a process of its own. None works.
Without a sandbox most do, else they would show nothing.
"""

import os
import pathlib
import signal
import socket

import pytest

import siblings
from conftest import DENY, NOBODY
from escape import REFUSALS, Place, Prisoner, names
from spawner import Failure, children, eventually, state
from test_serve import serve  # noqa: F401 (fixture)

# How many of the attempts have to work without a sandbox. The others have something else against them: a kernel that
# lacks what they use, or an ordinary user's rights.
SHARES = {0: 0.7, NOBODY: 0.45}
SPAWN, KILL, NEW_ROOT = 4, 2, 16  # FSRV_SANDBOX_…
LANDLOCK = 6  # the ABI that has all that the profiles use

# What is open, as SECURITY.md says. Where a message goes lies in memory, where no filter looks; and landlock has
# nothing for UDP, and takes files without a place, as pipes are, for everybody's.
KNOWN = {"send_message_to_udp", "read_standard_output"}

needs_kernel = pytest.mark.skipif(bool(DENY) or siblings.landlock_abi() < LANDLOCK,
                                  reason="this kernel, or what is denied, has not all that a sandbox is made of")


def uids():
    return [0, NOBODY] if os.geteuid() == 0 else [os.geteuid()]


@pytest.fixture(params=uids())
def place(request):
    if request.param == NOBODY:
        request.getfixturevalue("other_user")
    place = Place(request.param)
    yield place
    place.close()


@pytest.fixture
def imprison(program, module, place):
    made = []

    def imprison(profile=None, **options):
        made.append(Prisoner(program, module("escapes"), place, profile, **options))
        return made[-1]

    yield imprison
    for prisoner in made:
        prisoner.end()


def is_refused(verdict, why):
    return verdict == "n/a" or verdict == "refused" and (why in REFUSALS or why == "SIGSYS")


def ways_out(prisoner, chosen=lambda name: True):
    """What worked, and what was stopped by something else than a sandbox."""
    found = {name: prisoner.attempt(name) for name in names(prisoner) if chosen(name) and name not in KNOWN}
    assert found
    return {name: what for name, what in found.items() if not is_refused(*what)}


@pytest.mark.skipif(bool(DENY), reason="what is denied here works without a sandbox neither")
def test_control(imprison, place):
    """Without a sandbox: each attempt says something, and most work."""
    prisoner = imprison()
    found = {name: prisoner.attempt(name) for name in names(prisoner)}
    assert len(found) > 250
    assert not [name for name, (verdict, _) in found.items() if verdict == "unclear"]
    working = [name for name, (verdict, _) in found.items() if verdict == "worked"]
    assert len(working) > SHARES.get(place.uid, 0.4) * len(found), \
        {name: why for name, (verdict, why) in found.items() if verdict != "worked"}


@needs_kernel
@pytest.mark.parametrize("profile", ["untrusted", "pure-compute"])
def test_no_way_out(imprison, profile):
    assert ways_out(imprison(profile)) == {}


@needs_kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take other ids")
def test_no_way_out_with_other_ids(program, module):
    """The zygote keeps the capabilities for that; a worker hasn't got them."""
    place = Place(0)
    prisoner = Prisoner(program, module("escapes"), place, "untrusted")
    prisoner.attributes = [f"uid={NOBODY}", f"gid={NOBODY}"]
    try:
        assert ways_out(prisoner) == {}
    finally:
        prisoner.end()
        place.close()


# What a program may run that may read its libraries.
RUNS = {"exec_program", "exec_set_user_id", "exec_by_fd", "exec_itself", "exec_loader", "exec_in_thread",
        "exec_nothing", "spawn_program", "run_shell", "vfork_program", "int80_exec", "x32_exec"}


@needs_kernel
def test_no_way_out_for_programs(imprison, sanitized):
    """They may run what their sandbox lists."""
    if sanitized:
        pytest.skip("a sanitizer reads its options from /proc")
    prisoner = imprison("untrusted", is_program=True)
    assert ways_out(prisoner, lambda name: name not in RUNS) == {}
    assert prisoner.attempt("exec_program") == ("worked", "0")


@needs_kernel
@pytest.mark.parametrize("profile", ["untrusted", "pure-compute"])
def test_no_way_out_of_a_lock_of_ones_own(imprison, profile):
    """fsrv_worker_lock()."""
    assert ways_out(imprison(locks_itself=profile)) == {}


@needs_kernel
def test_no_network(imprison):
    assert ways_out(imprison("no-network"), lambda name: name.startswith(
        ("socket_", "ring_", "connect_", "bind_", "listen_", "fast_", "send_", "int80_s", "x32_s")) and
        name != "socket_pair") == {}


@needs_kernel
def test_no_exec(imprison):
    assert ways_out(imprison("no-exec"), lambda name: name.startswith("exec_") or name in (
        "spawn_program", "run_shell", "vfork_program", "use_library", "spawn_by_doorbell",
        "spawn_by_new_server")) == {}


@needs_kernel
def test_named_server(imprison, place, serve):
    """A server that others use, of the same user."""
    if place.uid != os.geteuid():
        pytest.skip("one user will do")
    server = serve(path=place.directory / "served").wait_until_it_listens()
    prisoner, environment = imprison("untrusted"), place.environment
    place.environment = lambda target=None: [*environment(target), f"ESCAPE_SERVER={server.path}"]
    assert prisoner.attempt("spawn_by_named_server") in (("refused", "EPERM"), ("refused", "EACCES"))
    prisoner.profile = None
    assert prisoner.attempt("spawn_by_named_server") == ("worked", "0")


# ---- at other times ----


def output_after(prisoner, event, entry, *words):
    """What an entry point prints that waits for the end of its standard input, which comes after the event."""
    spawner = prisoner.spawner
    prisoner.request(entry, *words)
    made = spawner("spawn_pipes", 3)
    event(made["pid"])
    spawner("close", made["fds"][0])
    text = spawner("read", made["fds"][1])["bytes"]
    spawner("close", made["fds"][1])
    return text


@needs_kernel
@pytest.mark.leaves
def test_after_the_servers_death(imprison):
    """Its workers go on; the listener of their filter has gone, and what it refused fails with ENOSYS."""
    prisoner = imprison("untrusted")
    every = [name for name in names(prisoner) if name not in KNOWN]
    prisoner.spawner.may_die = True
    server = prisoner.spawner.stats()["server_pid"]
    text = output_after(prisoner, lambda pid: os.kill(server, signal.SIGKILL), "escape_after", *every)
    found = [line.split(maxsplit=2) for line in text.splitlines()]
    assert [name for name, *_ in found] == every
    assert [line for line in found if not is_refused(*line[1:])] == []


@needs_kernel
@pytest.mark.parametrize("name", ["spawn_by_new_server", "have_capabilities", "open_secret",
                                  "make_socket_in_thread", "own_listener"])
def test_constructors_of_a_module_that_is_loaded_for_the_request(imprison, place, module, name):
    prisoner, environment = imprison("untrusted"), place.environment
    copy = place.readable / "other.so"
    copy.write_bytes(pathlib.Path(module("escapes")).read_bytes())
    copy.chmod(0o755)
    place.environment = lambda target=None: [*environment(target), f"ESCAPE_ON_LOAD={name}"]
    prisoner.module = copy
    prisoner.request("nothing")
    code, text = prisoner.spawner.code_and_output()
    assert code == 0 and text.startswith(f"{name} refused"), text


@needs_kernel
def test_refused_while_signals_come(imprison):
    prisoner = imprison("untrusted")
    prisoner.request("interrupted")
    assert prisoner.spawner.code_and_output() == (0, "0\n")


@needs_kernel
def test_floods_of_refused_calls(imprison):
    """The server hears of each; others are served meanwhile, in the same sandbox and without one."""
    prisoner = imprison("untrusted")
    prisoner.request("flood")
    floods = [prisoner.spawner.spawn() for _ in range(2)]
    for profile in ["untrusted", None] * 10:
        prisoner.profile = profile
        prisoner.request("nothing")
        assert prisoner.spawner.run().exit_code == 0
    for process in floods:
        process.kill()
        assert process.code() == -signal.SIGKILL


@needs_kernel
def test_processes_that_end_in_a_refused_call(imprison):
    prisoner = imprison("untrusted")
    for _ in range(50):
        prisoner.request("die_refused")
        assert prisoner.spawner.run().exit_code == 0


def test_strays(imprison):
    """A child that a worker makes the server's: it is reaped, and does no harm."""
    prisoner = imprison("untrusted" if siblings.landlock_abi() >= LANDLOCK and not DENY else None)
    server = prisoner.spawner.stats()["server_pid"]
    for _ in range(10):
        prisoner.request("leave_stray")
        assert prisoner.spawner.run().exit_code in (0, 1)
    assert eventually(lambda: not [pid for pid in children(server) if state(pid) == "gone"])
    assert prisoner.spawner.stats()["workers"] == 0


# ---- siblings ----


def opened(cell):
    """On a busy machine one of them, a standby say, may not be there to be tried; "open" is open to all."""
    return set(cell.removeprefix("open: ").split(", ")) - {"closed"}


@needs_kernel
def test_siblings(program, module):
    """No more is open than SECURITY.md says."""
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in siblings.of_page().splitlines()]
    found = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in siblings.to_table(siblings.measure(program, module("escapes"))).splitlines()]
    assert [row[0] for row in table] == [row[0] for row in found]
    assert [(row[0], profile, now) for row, measured in zip(table, found)
            for profile, said, now in zip(table[0], row, measured)
            if said != "open" and not opened(now) <= opened(said)] == []


@needs_kernel
def test_no_memory_is_shared(imprison):
    """A mapping that a worker and its zygote share would be a way into it, and to all that it forks then."""
    prisoner = imprison("untrusted")
    prisoner.request("victim")
    process = prisoner.spawner.spawn()
    maps = pathlib.Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    assert [line for line in maps if "w" in line.split()[1] and "s" in line.split()[1]] == []
    process.kill()
    process.wait()


# ---- flags ----


def output_of(prisoner, *words):
    prisoner.request(*words)
    return prisoner.spawner.code_and_output()


@needs_kernel
def test_spawns_from_within(imprison):
    """None; or, where the sandbox allows it, into the same one, whatever the request asks for."""
    prisoner = imprison("untrusted")
    entry = f"{prisoner.module}:escape"
    code, text = output_of(prisoner, "nest", "same", entry, "escape", "open_secret")
    assert code == 1 and text.startswith("inherit EPERM"), text
    prisoner.flags = SPAWN
    for name in ("open_secret", "socket_tcp", "have_capabilities", "exec_program", "write_to_foreign_pipes"):
        code, text = output_of(prisoner, "nest", "same", entry, "escape", name)
        assert code == 0 and text.startswith(f"{name} refused"), text
        code, text = output_of(prisoner, "nest", "none", entry, "escape", name)
        assert code == 1 and text.startswith("spawn EPERM"), text


@needs_kernel
@pytest.mark.parametrize("name", ["socket_tcp", "make_socket_in_thread", "make_socket_in_child", "int80_socket"])
def test_refused_calls_that_kill(imprison, name):
    prisoner = imprison("untrusted")
    prisoner.flags = KILL
    code, text = output_of(prisoner, "escape", name)
    assert code in (-signal.SIGKILL, -signal.SIGSYS) and text == ""


@needs_kernel
def test_refused_calls_that_kill_orphans(imprison):
    """The worker that it came from has ended before."""
    prisoner = imprison("untrusted")
    assert output_of(prisoner, "refused_in_orphan") == (0, "EPERM\n")
    prisoner.flags = KILL
    assert output_of(prisoner, "refused_in_orphan") == (0, "")


@needs_kernel
def test_links_on_the_way_to_a_mount(imprison, place):
    """What a sandboxed process has left lying about leads to nowhere outside, when a later sandbox is made of it."""
    (place.writable / "out").symlink_to(place.secret)
    (place.writable / "out-file").symlink_to(place.secret / "made")
    prisoner = imprison("none")
    libraries = [f"ro-bind={path}:{path}" for path in ("/usr", "/lib", "/lib64") if os.path.exists(path)]
    file = place.readable / "file"
    for word in ("tmpfs=/box/out/made", "tmpfs=/box/out/made/below", f"bind={file}:/box/out-file",
                 f"bind={file}:/box/out/secret"):
        prisoner.spawner("set_sandbox", "none", f"flags={NEW_ROOT}", *libraries, f"bind={place.writable}:/box", word)
        prisoner.spawner.request(entry=f"{prisoner.module}:nothing")
        try:
            assert prisoner.spawner.run().exit_code == 0
        except Failure as failure:
            assert failure.stage == "sandbox"
        assert os.listdir(place.secret) == ["secret"] and (place.secret / "secret").read_text() == "secret\n"


@needs_kernel
def test_fds_in_flight(imprison):
    """The kernel lets a process send fds while its user has no more in flight than it may have open: so the sandbox's
    limit of open files has to come when nothing is to be sent any more."""
    prisoner, pairs = imprison("untrusted"), [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for sender, _ in pairs:
        socket.send_fds(sender, [b"x"], [0] * 200)
    try:
        for _ in range(2):
            assert prisoner.attempt("open_secret") == ("refused", "EACCES")
    finally:
        for pair in pairs:
            for end in pair:
                end.close()
