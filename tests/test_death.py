# SPDX-License-Identifier: MIT
"""When parts die: no status is lost or invented, nothing of a failed spawn runs, nothing is left."""

import contextlib
import os
import signal

import pytest

from conftest import MISSING
from leftovers import descendants
from spawner import KILL_ON_CLOSE, NO_RUSAGE, STANDBYS, TIMED_OUT, Failure, Process, children, eventually, state, title
from test_spawn import refused


@pytest.fixture
def reaped(start, program, testmod):
    """A spawner below a process that reaps orphans at once, as pid 1 does."""
    spawner = start(before=[program("init")])
    spawner.new(preload=[testmod])
    return spawner


def kill_all(pids):
    """Some may go with the first."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


KERNEL_KEEPS_STATUS = "pidfd_info" not in MISSING


def parts(spawner):
    """Server, zygote, standbys, once those that are to come are there."""
    zygote = spawner.zygote()
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS == spawner.stats()["standbys"])
    return [spawner.server(), zygote, *spawner.standbys()]


# ---- zygote and standbys ----


def test_zygote_dies(spawner, testmod):
    process = spawner.call(f"{testmod}:hang")
    for i in range(10):
        zygote = spawner.zygote()
        os.kill(zygote, signal.SIGKILL)
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
        assert eventually(lambda: spawner.stats()["zygote_pid"] not in (0, zygote))
    process.kill(signal.SIGTERM)
    assert process.code() == -signal.SIGTERM
    assert spawner.stats()["zygote_restarts"] == 10


def test_zygote_dies_and_nobody_is_ready(start, testmod):
    """The request waits in the doorbell for the next zygote."""
    spawner = start()
    spawner.new(preload=[testmod], standbys=1)
    assert spawner.call(f"{testmod}:exit_with", 0).code() == 0
    for i in range(20):
        kill_all([spawner.zygote(), *spawner.standbys()])
        assert spawner.call(f"{testmod}:exit_with", i).code() == i


@pytest.mark.skipif("sud" in MISSING, reason="a process that is forked twice begins after the server was told of it")
def test_zygote_dies_between_fork_and_forked(start, module, tmp_path):
    """The child waits at the doorbell as any other, and is counted as one: nobody's worker."""
    fifo = tmp_path / "fifo"
    spawner = start(env={**os.environ, "HELD_PARENT": str(fifo)})
    spawner.new(preload=[module("held_fork")])
    spawner("ensure")
    zygote = parts(spawner)[1]
    os.mkfifo(fifo)
    before = set(spawner.standbys())
    kill_all(list(before)[:1])
    assert eventually(lambda: set(spawner.standbys()) - before)
    fifo.unlink()
    os.kill(zygote, signal.SIGKILL)
    parts(spawner)
    assert spawner.stats()["workers"] == 0


def test_standbys_die(spawner, testmod):
    spawner("ensure")
    for i in range(20):
        assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
        kill_all(spawner.standbys())
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    assert eventually(lambda: spawner.stats()["standbys"] == STANDBYS)


def test_standby_dies_with_a_request_waiting(start, testmod):
    """Stopped, so that the request is in its hands or nobody's when it is killed: the client asks again."""
    spawner = start()
    spawner.new(preload=[testmod], standbys=1)
    spawner("ensure")
    for i in range(10):
        spawner.zygote()
        assert eventually(lambda: len(spawner.standbys()) == 1)
        (standby,) = spawner.standbys()
        os.kill(standby, signal.SIGSTOP)
        assert eventually(lambda: state(standby) == "T")
        entry = f"{testmod}:exit_with"
        spawner.request(entry=entry, argv=[entry, str(i)])
        spawner.ask("spawn")
        # It wakes up from recvmsg with the request when it goes on, or never
        os.kill(standby, signal.SIGKILL)
        answer = spawner.answer("spawn")
        assert spawner("wait", answer["process"], 60000)["exit_code"] == i


def server_of(spawner):
    spawner("ensure")
    spawner.zygote()
    return spawner.server()


def claimed(spawner, server):
    """The one process that has claimed a request and not answered yet; its title is the first that it does."""
    return eventually(lambda: [pid for pid in children(server) if title(pid).startswith("forkserver: worker")])[0]


def test_worker_dies_during_set_up(spawner, testmod, tmp_path):
    """Nothing of the request has run: the client asks again, and the second one makes it."""
    server, fifo = server_of(spawner), tmp_path / "fifo"
    os.mkfifo(fifo)
    spawner.request(entry=f"{testmod}:exit_with", argv=["x", 5], actions=[("open", 9, fifo, os.O_RDONLY, 0)])
    spawner.ask("spawn")
    first = claimed(spawner, server)
    os.kill(first, signal.SIGKILL)
    second = eventually(lambda: (pid := claimed(spawner, server)) != first and pid)
    with open(fifo, "w"):
        process = Process(spawner, spawner.answer("spawn"))
        assert process.pid == second and process.code() == 5


def test_worker_dies_during_each_set_up(spawner, testmod, tmp_path):
    """The third time it is the setting-up's fault, and said so."""
    server, fifo = server_of(spawner), tmp_path / "fifo"
    os.mkfifo(fifo)
    spawner.request(entry=f"{testmod}:exit_with", argv=["x", 5], actions=[("open", 9, fifo, os.O_RDONLY, 0)])
    spawner.ask("spawn")
    last = None
    for _ in range(3):
        last = eventually(lambda: (pid := claimed(spawner, server)) != last and pid)
        os.kill(last, signal.SIGKILL)
    with pytest.raises(Failure) as info:
        spawner.answer("spawn")
    assert (info.value.errno, info.value.stage) == ("ECONNABORTED", "setup") and "signal 9" in info.value.text


def test_zygote_that_is_stopped(spawner, testmod):
    """Standbys serve on; then the time-out ends the waiting."""
    zygote = (spawner("ensure"), spawner.zygote())[1]
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
    os.kill(zygote, signal.SIGSTOP)
    for i in range(STANDBYS):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    failure = refused(spawner.call, f"{testmod}:exit_with", 0, spawn_timeout=100)
    assert (failure.errno, failure.stage) == ("ETIMEDOUT", "queue")
    os.kill(zygote, signal.SIGCONT)
    assert spawner.call(f"{testmod}:exit_with", 7).code() == 7


# ---- the server ----


def test_server_dies(reaped, testmod):
    """Zygote and standbys go with it; workers live on, and their status is true."""
    workers = [reaped.call(f"{testmod}:hang") for _ in range(3)]
    pids = parts(reaped)
    assert len(pids) >= 4
    os.kill(pids[0], signal.SIGKILL)
    assert eventually(lambda: all(state(pid) == "gone" for pid in pids))
    assert all(worker.is_alive() for worker in workers)
    assert refused(workers[0].wait, 50).errno == "ETIMEDOUT"
    workers[0].kill(signal.SIGTERM)
    workers[1].kill(signal.SIGUSR1)
    ends = {0: -signal.SIGTERM, 1: -signal.SIGUSR1}
    for i, code in ends.items():
        status = lost_or_status(workers[i])
        assert status is None or (-status.signal, status.flags) == (code, NO_RUSAGE)
    assert reaped.call(f"{testmod}:exit_with", 7).code() == 7
    assert reaped.server() != pids[0]
    workers[2].kill()
    lost_or_status(workers[2])


def lost_or_status(process):
    """Kernels before 6.15 cannot tell: then it has to be said, never invented."""
    try:
        return process.wait()
    except Failure as failure:
        assert (failure.errno, failure.stage) == ("EOWNERDEAD", "status")
        return None


class Gate:
    """The FIFO at which processes wait in a fork handler of held_fork.so."""

    def __init__(self, path):
        self.path, self.gate = path, None
        os.mkfifo(path)

    def holds(self, pid):
        try:
            return str(self.path) in [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            return False

    def held(self):
        """Some that wait now."""
        if self.gate is None:
            self.gate = eventually(self.open)
        return eventually(lambda: [pid for pid in descendants(os.getpid()) if self.holds(pid)])

    def open(self):
        try:
            return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # ENXIO: nobody waits at it yet
            return None

    def let_pass(self, n):
        os.write(self.gate, b"x" * n)

    def close(self):
        os.close(self.gate)


def nothing_runs():
    return not [pid for pid in descendants(os.getpid()) if title(pid).startswith("forkserver:")]


def test_server_dies_while_fork_handlers_run(start, module, tmp_path):
    """Their processes end with it: one that waits might wait for ever."""
    gate = Gate(tmp_path / "fifo")
    spawner = start(env={**os.environ, "HELD_FORK": str(gate.path)})
    spawner.new(preload=[module("held_fork")])
    spawner("ensure")
    server = spawner.server()
    held = gate.held()
    assert held and spawner.stats()["zygote_pid"] not in held
    os.kill(server, signal.SIGKILL)
    assert eventually(nothing_runs)
    gate.close()


@pytest.mark.skipif("sud" in MISSING, reason="a process that is forked twice hangs between the two forks then")
def test_standby_that_was_forked_when_the_server_died(start, preloadable, tmp_path, sanitized):
    """The death signal comes from a parent that dies after it was asked for; this one had died before. (Held by a
    handler that is older than ours.)"""
    if sanitized:
        pytest.skip("a sanitizer has to be loaded first")
    gate = Gate(tmp_path / "fifo")
    spawner = start(env={**os.environ, "HELD_FORK": str(gate.path), "LD_PRELOAD": preloadable("held_fork")})
    spawner.new(standbys=1)
    spawner("ensure")
    server = spawner.server()
    for _ in range(2):  # the zygote-to-be, and the helper by which it tries whether forks can be caught
        held = gate.held()
        gate.let_pass(1)
        assert eventually(lambda: not any(gate.holds(pid) for pid in held))
    held = gate.held()
    assert held and spawner.stats()["zygote_pid"] not in held
    os.kill(server, signal.SIGKILL)
    assert eventually(lambda: state(server) == "gone")
    assert all(gate.holds(pid) for pid in held)
    gate.let_pass(100)
    assert eventually(nothing_runs)
    gate.close()


def test_exit_code_after_the_server_died(reaped, testmod, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    script = f"read x < {tmp_path}/fifo; exit 23"
    process = reaped.spawn(program="sh", argv=["sh", "-c", script])
    os.kill(reaped.server(), signal.SIGKILL)
    with open(tmp_path / "fifo", "w") as fifo:
        fifo.write("go\n")
    status = lost_or_status(process)
    assert status is None and not KERNEL_KEEPS_STATUS or (status.exit_code, status.flags) == (23, NO_RUSAGE)


def test_poll_fd_after_the_server_died(reaped, testmod):
    process = reaped.call(f"{testmod}:hang")
    assert reaped("poll_fd", process.index, 0)["result"] == 0
    os.kill(reaped.server(), signal.SIGKILL)
    assert eventually(lambda: reaped("poll_fd", process.index, 0)["result"] == 1)  # something to do: a step
    assert refused(process.wait, 0).errno == "ETIMEDOUT"
    assert reaped("poll_fd", process.index, 20)["result"] == 0
    process.kill(signal.SIGTERM)
    try:
        assert reaped("loop", process.index, 60000)["signal"] == signal.SIGTERM
    except Failure as failure:
        assert failure.errno == "EOWNERDEAD"


def test_status_is_lost_where_the_kernel_cannot_tell(start, program, testmod):
    spawner = start(before=[program("deny"), "pidfd_info", "--", program("init")])
    spawner.new(preload=[testmod])
    process, ended = spawner.call(f"{testmod}:hang"), spawner.call(f"{testmod}:exit_with", 3)
    assert eventually(lambda: spawner.stats()["exits"] == 1)
    os.kill(spawner.server(), signal.SIGKILL)
    assert ended.code() == 3  # that was told before
    process.kill(signal.SIGTERM)
    failure = refused(process.wait)
    assert (failure.errno, failure.stage) == ("EOWNERDEAD", "status") and "lost" in failure.text
    assert refused(process.wait).errno == "EOWNERDEAD"
    assert refused(process.kill, signal.SIGTERM).errno == "ESRCH"


def test_status_that_nobody_reaps(spawner, testmod):
    """An orphan whose new parent never reaps it: waiting ends all the same. (Here the parent is the test runner.)"""
    process = spawner.call(f"{testmod}:hang")
    os.kill(spawner.server(), signal.SIGKILL)
    process.kill(signal.SIGTERM)
    status = lost_or_status(process)
    assert status is None or status.signal == signal.SIGTERM


def test_server_dies_again_and_again(reaped, testmod):
    for i in range(10):
        process, pids = reaped.call(f"{testmod}:hang"), parts(reaped)
        os.kill(pids[0], signal.SIGKILL)
        # Before its standbys have gone as well, one may take the next request, and that status would be lost then.
        assert eventually(lambda: all(state(pid) == "gone" for pid in pids))
        assert reaped.call(f"{testmod}:exit_with", i).code() == i
        process.kill(signal.SIGTERM)
        status = lost_or_status(process)
        assert status is None or status.signal == signal.SIGTERM


def test_server_dies_with_many_standbys(start, program, testmod):
    """Each of them may take a request on its way out: the client asks the next server, not all of them in turn."""
    spawner = start(before=[program("init")])
    for _ in range(30):
        spawner.new(preload=[testmod], standbys=64)
        spawner("ensure")
        assert eventually(lambda: spawner.stats()["standbys"] == 64)
        os.kill(spawner.server(), signal.SIGKILL)
        for i in range(3):
            spawner.call(f"{testmod}:exit_with", i)


def test_server_dies_with_requests_in_the_doorbell(start, program, testmod):
    spawner = start(before=[program("init")])
    spawner.new(preload=[testmod])
    spawner.call(f"{testmod}:exit_with", 0).wait()
    pids = parts(spawner)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: all(state(pid) == "T" for pid in pids))
    entry = f"{testmod}:exit_with"
    spawner.request(entry=entry, argv=[entry, "5"])
    spawner.ask("spawn")
    kill_all(pids)
    assert spawner("wait", spawner.answer("spawn")["process"], 60000)["exit_code"] == 5


def test_server_that_is_stopped(spawner, testmod):
    """Idle standbys still serve; what needs the server ends with the time-out, not later."""
    spawner("ensure")
    spawner.zygote()
    assert eventually(lambda: len(spawner.standbys()) == STANDBYS)
    server = spawner.server()
    os.kill(server, signal.SIGSTOP)
    process = spawner.call(f"{testmod}:exit_with", 3, spawn_timeout=60000)
    assert refused(process.wait, 50).errno == "ETIMEDOUT"
    os.kill(server, signal.SIGCONT)
    assert process.code() == 3


# ---- the client ----


def test_programs_outlive_their_client(spawner):
    """And the server does not stay for them: they cannot spawn from it."""
    process = spawner.spawn(program="sleep", argv=["sleep", "1000"])
    pids = parts(spawner)
    spawner.die()
    assert eventually(lambda: all(state(pid) == "gone" for pid in pids))
    assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)


def test_workers_outlive_their_client(spawner, testmod, tmp_path):
    """They hold the doorbell, so the server stays as long."""
    process = spawner.call(f"{testmod}:append_and_hang", tmp_path / "log", "here")
    pids = parts(spawner)
    spawner.die()
    os.kill(pids[1], 0)
    assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: all(state(pid) == "gone" for pid in [process.pid, *pids]))


def test_kill_on_close_by_unref(spawner, testmod):
    process = spawner.call(f"{testmod}:hang", flags=KILL_ON_CLOSE)
    other = spawner.call(f"{testmod}:hang")
    process.unref()
    assert eventually(lambda: not process.is_alive())
    assert other.is_alive()
    other.unref()
    assert other.is_alive()
    os.kill(other.pid, signal.SIGKILL)


def test_kill_on_close_by_the_clients_death(spawner, testmod):
    processes = [spawner.call(f"{testmod}:hang", flags=KILL_ON_CLOSE) for _ in range(3)]
    processes.append(spawner.spawn(program="sleep", argv=["sleep", "1000"], flags=KILL_ON_CLOSE))
    server = spawner.server()
    spawner.die()
    assert eventually(lambda: not any(process.is_alive() for process in processes))
    assert eventually(lambda: state(server) == "gone")


def test_kill_on_close_when_the_server_is_gone(reaped, testmod):
    process = reaped.call(f"{testmod}:hang", flags=KILL_ON_CLOSE)
    os.kill(reaped.server(), signal.SIGKILL)
    process.unref()
    assert eventually(lambda: not process.is_alive())


def test_kill_on_close_of_an_ended_process(spawner, testmod):
    process = spawner.call(f"{testmod}:exit_with", 3, flags=KILL_ON_CLOSE)
    assert process.code() == 3
    process.unref()
    assert spawner.call(f"{testmod}:exit_with", 4).code() == 4


def test_private_server_ends_with_its_client(spawner, testmod):
    spawner.call(f"{testmod}:exit_with", 0).wait()
    pids = parts(spawner)
    assert title(pids[0]) == "forkserver: server"
    spawner.die()
    assert eventually(lambda: all(state(pid) == "gone" for pid in pids))


def test_private_server_ends_during_loading(start, module):
    spawner = start()
    spawner.new(preload=[module("hang_on_load")])
    spawner("ensure")
    assert eventually(lambda: spawner.stats()["zygote_pid"])
    stats = spawner.stats()
    spawner.die()
    assert eventually(lambda: state(stats["server_pid"]) == state(stats["zygote_pid"]) == "gone")


def test_everything_dies(spawner, testmod):
    process = spawner.call(f"{testmod}:hang")
    pids = [*parts(spawner), process.pid]
    spawner.may_die = True
    kill_all([spawner.process.pid, *pids])
    spawner.process.wait()
    assert eventually(lambda: all(state(pid) == "gone" for pid in pids))


def test_client_that_dies_with_requests_in_the_doorbell(spawner, testmod, tmp_path):
    """The client is gone before STARTED could be sent: the request must not run."""
    log = tmp_path / "log"
    spawner.call(f"{testmod}:exit_with", 0).wait()
    pids = parts(spawner)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: all(state(pid) == "T" for pid in pids))
    entry = f"{testmod}:append"
    spawner.request(entry=entry, argv=[entry, str(log), "ghost"])
    spawner.ask("spawn")
    assert eventually(lambda: state(spawner.process.pid) == "S")
    spawner.die()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert eventually(lambda: all(state(pid) == "gone" for pid in pids))
    assert not log.exists()


def test_helpers_of_modules_do_not_keep_the_server(start, module, tmp_path):
    """A process that a module started holds none of our sockets: neither does the server stay because of it, nor does
    the client wait for an end of file that never comes."""
    log = tmp_path / "log"
    spawner = start(env={**os.environ, "HELPER_LOG": str(log)})
    spawner.new(preload=[module("forks_helper")])
    assert spawner.spawn(program="true").code() == 0
    assert eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    helper = int(log.read_text())
    files = [os.readlink(f"/proc/{helper}/fd/{fd}") for fd in os.listdir(f"/proc/{helper}/fd")]
    # One may be there: the zygote's boot socket, which is of no use after the preloading.
    assert sum(file.startswith("socket:") for file in files) <= 1, files
    pids = parts(spawner)
    spawner.die()
    assert eventually(lambda: all(state(pid) == "gone" for pid in pids))
    assert state(helper) != "gone"
    os.kill(helper, signal.SIGKILL)


def test_daemon_of_a_worker(spawner, testmod, tmp_path):
    """What a worker leaves behind belongs to nobody here, whichever way the zygote forks."""
    log = tmp_path / "log"
    assert spawner.call(f"{testmod}:become_daemon", log).code() == 0
    daemon = int(log.read_text())
    assert state(daemon) != "gone"
    for i in range(5):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    os.kill(daemon, signal.SIGKILL)
    for i in range(5):
        assert spawner.call(f"{testmod}:exit_with", i).code() == i
    assert spawner.stats()["workers"] == 0


# ---- time-outs and ghosts ----


def test_spawn_timeout_leaves_no_ghost(spawner, testmod, tmp_path):
    log = tmp_path / "log"
    spawner.call(f"{testmod}:exit_with", 0).wait()
    pids = parts(spawner)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: all(state(pid) == "T" for pid in pids))
    for _ in range(3):
        failure = refused(spawner.call, f"{testmod}:append", log, "ghost", spawn_timeout=50)
        assert (failure.errno, failure.stage) == ("ETIMEDOUT", "queue")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    for i in range(5):
        assert spawner.call(f"{testmod}:append", log, "real").code() == 0
    assert log.read_text() == "real\n" * 5


@pytest.mark.parametrize("target", ["entry", "program"])
def test_what_timed_out_never_ran(spawner, testmod, tmp_path, target):
    """With a limit about as long as a spawn takes: some succeed, some don't, and just those that did have run."""
    log = tmp_path / "log"
    log.touch()
    spawner.call(f"{testmod}:exit_with", 0).wait()
    started, failed = [], 0
    for i in range(300):
        limit = i % 4
        if target == "entry":
            entry = f"{testmod}:append"
            spawner.request(entry=entry, argv=[entry, log, str(i)], spawn_timeout=limit)
        else:
            spawner.request(program="sh", argv=["sh", "-c", f"echo {i} >> {log}"], spawn_timeout=limit)
        try:
            process = spawner.spawn()
        except Failure as failure:
            assert failure.errno == "ETIMEDOUT" and failure.stage in ("queue", "exec"), failure
            failed += 1
        else:
            started.append(i)
            assert process.code() == 0, i
    spawner("stop", 60000)
    assert failed
    assert sorted(map(int, log.read_text().split())) == started


def given_up(spawner, when, **request):
    """A process that starts between its client's last two looks."""
    spawner("give_up", when)
    for _ in range(1000):
        process = spawner.spawn(spawn_timeout=0, **request)
        if spawner("give_up", when)["result"]:
            spawner("give_up")
            return process
        with contextlib.suppress(Failure):  # it was faster, and may have ended
            process.kill()
    raise AssertionError("no spawn took as long as no time")


@pytest.mark.parametrize("when", ["started", "ended", "ends"])
def test_client_that_gives_up_too_late_gets_the_status(spawner, testmod, when):
    entry = f"{testmod}:exit_with"
    spawner.call(entry, 0).wait()
    for code in range(1, 20):
        status = given_up(spawner, when, entry=entry, argv=[entry, code]).wait()
        assert (status.exit_code, status.flags) == (code, 0)
    entry = f"{testmod}:hang"
    status = given_up(spawner, when, entry=entry, argv=[entry], time_limit=50).wait()
    assert (status.signal, status.flags) == (signal.SIGKILL, TIMED_OUT)


def test_client_that_gives_up_too_late_keeps_the_worker(spawner, testmod):
    entry = f"{testmod}:hang"
    spawner.call(f"{testmod}:exit_with", 0).wait()
    hanging = {"entry": entry, "argv": [entry], "flags": KILL_ON_CLOSE, "time_limit": 60000}
    process, other = given_up(spawner, "started", **hanging), given_up(spawner, "started", **hanging)
    assert refused(other.wait, 200).errno == "ETIMEDOUT"
    other.unref()
    assert eventually(lambda: not other.is_alive())
    server = spawner.server()
    spawner.ask("stop", 60000)
    assert eventually(lambda: children(server) == [process.pid])
    os.kill(process.pid, signal.SIGTERM)
    spawner.answer("stop")
    assert process.code() == -signal.SIGTERM


def test_spawn_timeout_while_the_queue_is_full(spawner, testmod, tmp_path):
    """Requests of a client that gives up fill the doorbell; nobody waits longer than asked."""
    log = tmp_path / "log"
    spawner.call(f"{testmod}:exit_with", 0).wait()
    pids = parts(spawner)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: all(state(pid) == "T" for pid in pids))
    big = "x" * 50000
    for _ in range(40):
        failure = refused(spawner.call, f"{testmod}:append", log, "ghost", environment=["A=" + big], spawn_timeout=5)
        assert (failure.errno, failure.stage) == ("ETIMEDOUT", "queue")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert spawner.call(f"{testmod}:append", log, "real").code() == 0
    assert log.read_text() == "real\n"
