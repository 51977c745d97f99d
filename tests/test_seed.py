# SPDX-License-Identifier: MIT
"""The contract of the system that this project starts from, row by row, by its own calls. The tracker (S15) and
programs that are their own zygote (S5) have files of their own."""

import os
import signal
import struct

import pytest

from spawner import LIMIT, STANDBYS, Failure, children, eventually, state, title


@pytest.fixture(scope="session")
def classic(module):
    return module("classic")


class Child:
    """A process of fsrv_connect_to_new_process()."""

    def __init__(self, client, answer):
        self.client, self.status_r, self.data_w = client, answer["status_r"], answer["data_w"]
        self.pid = None

    def read_pid(self):
        self.pid = self.client("read_signed", self.status_r)["value"]
        return self.pid

    def code(self):
        if self.pid is None:
            self.read_pid()
        return self.client("read_signed", self.status_r)["value"]

    def send(self, value):
        self.client("write_signed", self.data_w, value)

    def close(self):
        self.client("close", self.status_r)
        if self.data_w is not None:
            self.client("close", self.data_w)

    def close_data(self):
        self.client("close", self.data_w)
        self.data_w = None


class Client:
    """A program with the classic calls; `entry` is what its processes run."""

    def __init__(self, spawner, module):
        self.spawner, self.module = spawner, module

    def __call__(self, *words):
        return self.spawner(*words)

    def connect(self, entry, *fds):
        self("classic_entry", f"{self.module}:{entry}")
        return Child(self, self("classic_connect", *fds))

    def pipe(self):
        fds = self("pipe")["fds"]
        return fds[0], fds[1]

    def output(self, entry, *, send=None, fds=()):
        """What the entry point writes to its first fd, and its exit code."""
        r, w = self.pipe()
        child = self.connect(entry, w, *fds)
        if send is not None:
            child.send(send)
        self("close", w)
        text = self("read", r)["bytes"]
        self("close", r)
        code = child.code()
        child.close()
        return text, code

    def server(self):
        return self("classic_stats")["server_pid"]


@pytest.fixture
def client(start, classic):
    client = Client(start(), classic)
    client("classic_preload", classic)
    yield client
    if not client.spawner.may_die:
        client("classic_stop", LIMIT * 1000)


# ---- S1, S2, S3: ensure_running, launch, _stop ----


def test_s01_starts_once_and_again_after_a_death(client):
    assert client.server() == 0
    client("classic_ensure")
    server = client.server()
    assert title(server) == "forkserver: server"
    client("classic_ensure")
    assert client.server() == server
    os.kill(server, signal.SIGKILL)
    client("classic_ensure")
    assert client.server() not in (0, server)
    assert client.output("none")[1] == 8  # it has one


def test_s01_a_child_uses_the_server_of_its_parent(client):
    text, code = client.output("nest", send=20)
    assert code == 20 and set(text.split()) == {str(client.server())}, text


def test_s02_no_address_and_nothing_secret(client, tmp_path):
    client("classic_ensure")
    server = client.server()
    command = open(f"/proc/{server}/cmdline", "rb").read().replace(b"\0", b" ").split()
    assert command == [b"forkserver:", b"server"]
    named = [line for line in open("/proc/net/unix") if " @" in line and "forkserver" in line]
    assert not named and not list(tmp_path.iterdir())
    # its standard input is nobody's, and what it holds is its own and the client's error output
    assert os.readlink(f"/proc/{server}/fd/0") == "/dev/null"


def test_s02_failure_leaves_nothing_open(client, monkeypatch):
    client("setenv", "FORKSERVER_HELPERS", "/nonexistent")
    before = client("count_fds")["result"]
    with pytest.raises(Failure) as failure:
        client.connect("obey")
    assert failure.value.stage == "tracker" and "/nonexistent" in failure.value.text
    # the lifeline (two) and the caller's status file stay with the handle, and the tracker's fd where it could start
    assert client("count_fds")["result"] <= before + 4


def test_s02_the_server_holds_nothing_of_the_clients(client, tmp_path):
    """Whatever the client has open without close-on-exec."""
    fd = client("open", tmp_path / "secret", os.O_CREAT | os.O_RDWR)["result"]
    client("dup2", fd, 77)
    client("classic_ensure")
    assert client.output("none")[1] == 8  # by now the zygote has what it will have
    for pid in (client.server(), client("classic_stats")["zygote_pid"]):
        held = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        assert str(tmp_path / "secret") not in held
    client("close", 77)
    client("close", fd)


def test_s03_stop_ends_the_server_and_leaves_nothing(client):
    child = client.connect("obey")
    pid, server = child.read_pid(), client.server()
    with pytest.raises(Failure) as failure:
        client("classic_stop", 0)
    assert failure.value.errno == "ETIMEDOUT"
    child.send(3)
    assert child.code() == 3
    client("classic_stop", LIMIT * 1000)
    assert eventually(lambda: state(server) == "gone") and state(pid) == "gone"
    client("classic_stop", 0)  # it is
    again = client.connect("obey")
    again.send(4)
    assert again.code() == 4
    again.close()
    child.close()


def test_s03_a_killed_client_leaves_nothing(client):
    child = client.connect("sentinel", 2)
    pid, server = child.read_pid(), client.server()
    client.spawner.die()
    assert eventually(lambda: state(pid) == "gone" and state(server) == "gone")


# ---- S4: set_forkserver_preload ----


def test_s04_preload(client, module):
    client("classic_ensure")
    zygote = eventually(lambda: client("classic_stats")["zygote_pid"])
    assert eventually(lambda: client.module in open(f"/proc/{zygote}/maps").read())
    client("classic_preload", module("testmod"))
    client("classic_ensure")
    zygote = eventually(lambda: client("classic_stats")["zygote_pid"])
    assert eventually(lambda: module("testmod") in open(f"/proc/{zygote}/maps").read())
    client("classic_preload")  # none is fine


@pytest.mark.parametrize("words", [["NULL"], ["", "x.so"], ["x.so", "NULL"], ["x.so", ""]])
def test_s04_rejects_what_is_no_list_of_names(client, words):
    """The list that was given, not the one of before."""
    for _ in range(2):
        with pytest.raises(Failure) as failure:
            client("classic_preload", *words)
        assert failure.value.errno == "EINVAL" and failure.value.stage == "argument"
    with pytest.raises(Failure):
        client("classic_preload_nothing", 3)
    assert client.output("none")[1] == 8  # the list of before holds


def test_s04_a_failing_module_is_reported_by_name(start, classic, tmp_path):
    with open(tmp_path / "errors", "w") as errors:
        client = Client(start(stderr=errors), classic)
        client("classic_preload", "/nonexistent/mod.so", classic)
        assert client.output("none")[1] == 8
        client("classic_stop", LIMIT * 1000)
    text = (tmp_path / "errors").read_text()
    assert text.startswith("forkserver: preload: module '/nonexistent/mod.so'") and "No such file" in text


# ---- S6, S8: connect_to_new_process, get_inherited_fds ----


def test_s06_data_and_status(client):
    r, w = client.pipe()
    child = client.connect("copy", w)
    client("close", w)
    client("write", child.data_w, "some words")
    child.close_data()
    assert client("read", r)["bytes"] == "some words"
    assert child.read_pid() > 0
    assert child.code() == 1  # one fd
    client("close", r)
    child.close()


@pytest.mark.parametrize("n", [0, 1, 2, 245, 246, 247, 253, 254, 1000, 5000])
def test_s06_any_number_of_fds(client, n):
    client("limit", "nofile", 20000, 20000)
    r, w = client.pipe()
    client("classic_entry", f"{client.module}:list")
    child = Child(client, client("classic_connect_same", n, w))
    client("close", w)
    assert client("read", r)["bytes"].split()[:1] == ([str(n)] if n else [])
    assert child.code() == 0
    client("close", r)
    child.close()


def test_s06_failure_closes_everything(client):
    client.output("none")
    before = client("count_fds")["result"]
    for entry, fds, errno in (("nothing_there", [2], "ENOENT"), ("obey", [999], "EBADF"), ("obey", [-1], "EBADF")):
        for _ in range(3):
            with pytest.raises(Failure) as failure:
                client.connect(entry, *fds)
            assert failure.value.errno == errno
    assert client("count_fds")["result"] == before
    for entry in ("NULL", "", "no colon", "module:", ":"):
        with pytest.raises(Failure) as failure:
            client("classic_entry", entry)
        assert failure.value.errno == "EINVAL" and entry in failure.value.text.replace("(null)", "NULL")


def test_s06_without_an_entry_point(start):
    with pytest.raises(Failure) as failure:
        start()("classic_connect")
    assert failure.value.errno == "EINVAL" and "fsrv_set_entry" in failure.value.text


def test_s08_fds_in_order(client, tmp_path):
    fds = []
    for i in range(5):
        (tmp_path / str(i)).write_bytes(bytes(10 + i))
        fds.append(client("open", tmp_path / str(i), os.O_RDWR | os.O_APPEND)["result"])
        client("write", fds[-1], "x" * i)
    text, code = client.output("list", fds=fds)
    assert code == 0 and text.split() == ["6", "0", *[str(10 + 2 * i) for i in range(1, 5)]]
    for fd in fds:
        client("close", fd)


def test_s08_none_is_not_an_empty_list(client):
    with pytest.raises(Failure) as failure:
        client("classic_inherited")
    assert failure.value.errno == "ENOENT"
    child = client.connect("none")
    assert child.code() == 7
    child.close()


# ---- S7, S12: status words, reaping ----


@pytest.mark.parametrize("code", [0, 1, 127, 255, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGTERM])
def test_s07_two_words_by_plain_read(client, code):
    child = client.connect("obey")
    child.send(code)
    data = client("read", child.status_r)["bytes"].encode("latin-1", "surrogateescape")
    if len(data) == 16:  # bytes above 0x7f don't survive the harness's text
        pid, word = struct.unpack("qq", data)
        assert pid > 0 and word == code
    child.close()
    child = client.connect("obey")
    child.send(code)
    assert child.read_pid() > 0 and child.code() == code
    with pytest.raises(Failure) as failure:
        client("read_signed", child.status_r)
    assert failure.value.errno == "ENODATA"
    child.close()


def test_s07_the_pid_is_there_while_the_process_runs(client):
    child = client.connect("obey")
    pid = child.read_pid()
    assert title(pid).startswith("forkserver: worker") and pid in children(client.server())
    child.send(9)
    assert child.code() == 9
    child.close()


def test_s07_a_short_word_is_an_error(client):
    for bytes_, errno in (("1234", "EPROTO"), ("", "ENODATA")):
        r, w = client.pipe()
        if bytes_:
            client("write", w, bytes_)
        client("close", w)
        with pytest.raises(Failure) as failure:
            client("read_signed", r)
        assert failure.value.errno == errno
        client("close", r)
    r, w = client.pipe()
    for value in (0, -1, 2**63 - 1, -(2**63), 123456789):
        client("write_signed", w, value)
        assert client("read_signed", r)["value"] == value
    client("close", r)
    client("close", w)


def test_s07_a_status_fd_that_was_closed_early(client):
    for _ in range(20):
        child = client.connect("obey")
        client("close", child.status_r)
        child.send(1)
        client("close", child.data_w)
    assert eventually(lambda: client("classic_stats")["workers"] == 0)
    assert client.output("none")[1] == 8


def test_s07_no_status_is_invented(client):
    child = client.connect("obey")
    pid = child.read_pid()
    os.kill(client.server(), signal.SIGKILL)
    with pytest.raises(Failure) as failure:
        child.code()
    assert failure.value.errno == "ENODATA" and state(pid) != "gone"
    child.send(0)
    assert eventually(lambda: state(pid) == "gone")
    child.close()


def test_s12_every_status_to_its_own_client(client):
    codes = [*range(40), *[-n for n in (signal.SIGKILL, signal.SIGABRT, signal.SIGUSR1, signal.SIGALRM)]]
    living = [client.connect("obey") for _ in codes]
    for child, code in sorted(zip(living, codes), key=lambda pair: hash(str(pair[1]))):
        child.send(code)
    assert [child.code() for child in living] == codes
    for child in living:
        child.close()


# ---- S9, S10, S11: the server's loop, signals, standard input ----


def test_s09_ends_with_its_last_client(start, classic):
    """The client has gone, its child keeps the server; then that one goes too."""
    client = Client(start(), classic)
    r, w = client.pipe()
    child = client.connect("idle")
    pid, server = child.read_pid(), client.server()
    os.kill(pid, signal.SIGSTOP)  # its data ends with its client
    client.spawner.die()
    assert state(server) != "gone"
    os.kill(pid, signal.SIGCONT)
    assert eventually(lambda: state(server) == "gone" and state(pid) == "gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP])
def test_s10_the_terminals_signals_are_for_the_clients(client, number):
    client("classic_ensure")
    server = client.server()
    os.kill(server, number)
    assert client.output("none")[1] == 8 and client.server() == server


def test_s10_children_have_the_signals_of_their_client(start, testmod, classic):
    client = Client(start(), classic)
    client("ignore", signal.SIGINT, 1)
    client("mask", signal.SIGUSR2)
    child = client.connect("idle")
    child.read_pid()

    def signals():
        text = open(f"/proc/{child.pid}/status").read()
        return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith("Sig")
                and "/" not in line}

    # the mask comes last of all, after it was told that the process exists
    assert eventually(lambda: signals()["SigBlk"] == 1 << signal.SIGUSR2 - 1)
    bits = signals()
    assert bits["SigIgn"] & 1 << signal.SIGINT - 1 and not bits["SigIgn"] & 1 << signal.SIGCHLD - 1
    child.close_data()
    assert child.code() == 5
    child.close()


def test_s11_the_servers_input_is_the_null_device(start, classic, tmp_path):
    (tmp_path / "input").write_text("for the client")
    with open(tmp_path / "input") as given:
        client = Client(start(stdin=given), classic)
        client("classic_ensure")
        zygote = eventually(lambda: client("classic_stats")["zygote_pid"])
        for pid in (client.server(), zygote):
            assert eventually(lambda: os.readlink(f"/proc/{pid}/fd/0") == "/dev/null")
        child = client.connect("idle")  # and the child's is the client's
        assert os.readlink(f"/proc/{child.read_pid()}/fd/0") == str(tmp_path / "input")
        child.close_data()
        assert child.code() == 5
        child.close()


# ---- S13, S14, S16: fork request, child start, preparation ----


def test_s13_garbage_is_no_request(client, layout):
    """Bytes without fds, fds without bytes, half a request: nobody is harmed."""
    client.output("none")
    server = client.server()

    def held():
        """fds in the standbys, once there are as many as there should be"""
        standbys = eventually(lambda: len(p := [c for c in children(server)
                                                if title(c) == "forkserver: standby"]) == STANDBYS and p)
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in standbys]

    before = held()
    for _ in range(5):
        client("garbage", 40, layout["version"])
        assert client.output("none")[1] == 8
        client("garbage", 40, layout["version"])
        # by ps: upon garbage the server may have closed the connection that statistics come by
        assert title(server) == "forkserver: server" and eventually(lambda: held() == before)


def test_s13_a_full_fd_table(client):
    client("classic_ensure")
    server = client.server()
    used = client("count_fds")["result"]
    client.output("none")
    client("limit", "nofile", used + 12)
    failed = 0
    living = []
    while not failed:
        try:
            living.append(client.connect("obey"))
        except Failure as failure:
            assert failure.errno == "EMFILE"
            failed = 1
    client("limit", "nofile", 1024)
    for child in living:
        child.send(2)
        assert child.code() == 2
        child.close()
    assert client.output("none")[1] == 8 and client.server() == server


def test_s14_the_child_has_its_fds_and_no_others(client):
    r, w = client.pipe()
    siblings = [client.connect("idle") for _ in range(3)]
    child = client.connect("idle", w)
    child.read_pid()

    def held():
        return {os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{child.pid}/fd")}

    # the doorbell alone: neither a status socket nor anything of a sibling's; once it has dropped what it answered on
    assert eventually(lambda: len([name for name in held() if name.startswith("socket:")]) == 1), held()
    own = held()
    inode = os.readlink(f"/proc/{client.spawner.process.pid}/fd/{w}")
    assert inode in own
    pipes = [name for name in own if name.startswith("pipe:")]
    # its data, the sentinel, the tracker's, the one given; standard streams may be pipes of the test run
    standard = {os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in range(3)}
    assert len(set(pipes) - standard) == 4, own
    for one in (*siblings, child):
        one.close_data()
        assert one.code() == 5
        one.close()
    client("close", r)
    client("close", w)


def test_s14_the_sentinel_tells_of_the_clients_end(client, tmp_path):
    out = client("open", tmp_path / "out", os.O_CREAT | os.O_RDWR | os.O_APPEND)["result"]
    child = client.connect("sentinel", out)
    pid = child.read_pid()
    assert eventually(lambda: (tmp_path / "out").read_text() == "silent")
    client.spawner.die()
    assert eventually(lambda: (tmp_path / "out").read_text() == "silent gone")
    assert eventually(lambda: state(pid) == "gone")


def test_s14_a_data_pipe_that_nobody_reads(client):
    """Writing to it ends with EPIPE when the process does: nobody waits for ever."""
    child = client.connect("idle")
    client("write", child.data_w, "x" * 1000)
    os.kill(child.read_pid(), signal.SIGKILL)
    assert child.code() == -signal.SIGKILL
    client("ignore", signal.SIGPIPE, 1)
    with pytest.raises(Failure) as failure:
        child.send(1)
    assert failure.value.errno == "EPIPE"
    child.close()


def test_s16_fresh_for_every_child(client, tmp_path, testmod):
    """Environment, directory, umask, mask: of now, not of the day when the server started."""
    client("classic_ensure")
    for i in (1, 2):
        (tmp_path / str(i)).mkdir()
        client("chdir", tmp_path / str(i))
        client("setenv", "NOW", i)
        client("umask", 0o20 + i)
        child = client.connect("idle")
        pid = child.read_pid()
        status = open(f"/proc/{pid}/status").read()
        assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path / str(i))
        assert f"Umask:\t{0o20 + i:04o}" in status
        assert title(pid) == f"forkserver: worker {client.module}:idle"[:239].strip()
        child.close_data()
        assert child.code() == 5
        child.close()
    r, w = client.pipe()
    client("dup2", w, 1)  # standard output of now
    client("classic_entry", f"{testmod}:get")
    client("setenv", "ONLY", "this")
    child = Child(client, client("classic_connect"))
    assert child.code() in range(256)
    child.close()
    client("classic_entry", f"{testmod}:env")
    child = Child(client, client("classic_connect"))
    assert child.code() == 0
    client("dup2", 2, 1)
    client("close", w)
    assert "ONLY=this" in client("read", r)["bytes"]
    client("close", r)
    child.close()


def test_s16_a_worker_may_not_stop_its_parents_server(client):
    text, code = client.output("inherited_handle")
    assert code == 0 and text.startswith("1 1 "), text
