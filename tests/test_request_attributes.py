# SPDX-License-Identifier: MIT
"""fsrv_request_set_attributes(): each attribute is seen from inside, or the forbidden thing is tried there."""

import errno
import os
import pathlib
import re
import resource
import signal
import subprocess

import pytest

import siblings
from conftest import KERNEL, MISSING, NOBODY, as_nobody
from spawner import LIMIT, Failure, eventually, state
from test_serve import open_directory  # noqa: F401

UNLIMITED = (1 << 64) - 1
NET_BIND, NET_RAW, SYS_ADMIN, CHOWN = (1 << n for n in (10, 13, 21, 0))
NO_SETUID_FIXUP = 1 << 2
KIND = pytest.mark.parametrize("kind", ["entry", "program"])
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do it")


class Seen(dict):
    """What tests/modules/seen.c says."""

    def __init__(self, text):
        super().__init__(line.partition(" ")[::2] for line in text.splitlines() if not line.startswith("status "))
        self.status = {name: value.strip() for name, value in re.findall(r"^status (\w+):(.*)$", text, re.MULTILINE)}

    def ids(self):
        return [self.status[name].split() for name in ("Uid", "Gid", "Groups")]

    def capabilities(self):
        return {name: int(self.status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


class Sight:
    """Spawns what sees itself, as an entry point or as a program."""

    def __init__(self, spawner, kind, seen, see):
        self.spawner, self.kind = spawner, kind
        self.request = {"entry": f"{seen}:seen"} if kind == "entry" else {"program": see}

    def output(self, *words, argv=("seen",), **request):
        code, text = self.spawner.code_and_output(set_attributes=words, argv=argv, **self.request, **request)
        assert code == 0, text
        return text

    def __call__(self, *words, **request):
        return Seen(self.output(*words, **request))

    def tries(self, what, argument, *words, **request):
        """The name of the errno with which it ended; "0": it worked."""
        return self.output(*words, argv=("seen", what, argument), **request).strip()

    def refused(self, *words, **request):
        with pytest.raises(Failure) as caught:
            self(*words, **request)
        return caught.value.errno, caught.value.stage, caught.value.text


@pytest.fixture
def sights(start, module, program):
    """sights(kind, before): as whom the spawner and its server run."""
    def make(kind, before=()):
        spawner = start(before)
        spawner.new(preload=[module("seen")])
        return Sight(spawner, kind, module("seen"), program("see"))

    return make


@pytest.fixture
def sight(sights, kind):
    return sights(kind)


@pytest.fixture
def nobody(other_user, sights, kind):
    return sights(kind, as_nobody())


# ---- limits ----


@KIND
def test_limits(sight):
    hard = int(sight()["limit7"].split()[1])
    seen = sight("limit=7:100:200", f"limit={resource.RLIMIT_CORE}:0:0", f"limit={resource.RLIMIT_CPU}:77")
    assert (seen["limit7"], seen[f"limit{resource.RLIMIT_CORE}"]) == ("100 200", "0 0")
    assert seen[f"limit{resource.RLIMIT_CPU}"].split()[0] == "77"
    assert sight("limit=7:50")["limit7"] == f"50 {hard}"  # the hard one stays
    assert sight()["limit7"] != "100 200"


@KIND
def test_fewer_files_than_we_have_open(sight):
    """Our own steps come before: the limit is the process's, and it starts."""
    fewest = 3 if sight.kind == "entry" else 4  # the dynamic loader needs one
    assert sight.tries("open", "/dev/null", f"limit=7:{fewest}:{fewest}") == ("EMFILE" if fewest == 3 else "0")
    assert sight.tries("open", "/dev/null", "limit=7:64:64") == "0"


@KIND
def test_memory(sight, sanitized):
    if sanitized:
        pytest.skip("a sanitizer takes the address space that is limited")
    words = "memory", str(2 << 30)
    assert sight.tries(*words) == "0"
    assert sight.tries(*words, f"limit={resource.RLIMIT_AS}:{1 << 30}:{1 << 30}") == "ENOMEM"


@KIND
@ROOT
def test_limits_are_raised(sights, kind):
    """Above the hard limit, which only a privileged process may do, though the uid that follows isn't root's."""
    if subprocess.run(["prlimit", "--core=10:10", "prlimit", "--core=20:20"], capture_output=True).returncode != 0:
        pytest.skip("root may not raise limits here")
    sight = sights(kind, ["prlimit", "--core=10:10"])
    core = resource.RLIMIT_CORE
    assert sight()[f"limit{core}"] == "10 10"
    assert sight(f"limit={core}:20:20", f"uid={NOBODY}")[f"limit{core}"] == "20 20"


@KIND
def test_limits_of_a_user(nobody):
    core = resource.RLIMIT_CORE
    assert nobody(f"limit={core}:0:0")[f"limit{core}"] == "0 0"
    hard = int(nobody()["limit7"].split()[1])
    assert nobody.refused(f"limit=7:10:{hard + 1}") == (
        "EPERM", "attributes", f"RLIMIT_NOFILE to 10:{hard + 1}: Operation not permitted")


# ---- priorities ----


@KIND
def test_priorities(sight):
    before = sight()
    cpu = int(before["affinity"].split()[-1])
    seen = sight("nice=19", f"affinity={1 << cpu}", "io_class=2", "io_level=6", "oom=321", "slack=123456")
    assert (seen["nice"], seen["affinity"], seen["io"], seen["oom"], seen["slack"]) == (
        "19", str(cpu), str(2 << 13 | 6), "321", "123456")
    after = sight()
    assert [after[name] for name in ("nice", "affinity", "io", "oom", "slack")] == [
        before[name] for name in ("nice", "affinity", "io", "oom", "slack")]


@KIND
def test_scheduler(sight):
    words = "scheduler=3", "nice=19"
    assert sight(*words) | {"scheduler": "3 0", "nice": "19"} == sight(*words)
    assert sight("scheduler=5")["scheduler"] == "5 0"


@KIND
@ROOT
def test_real_time(sight):
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        pytest.skip("no real-time scheduling here")
    assert sight("scheduler=1", "priority=9")["scheduler"] == "1 9"


@KIND
def test_priorities_of_a_user(nobody):
    words = "nice=19", "oom=500"
    assert nobody(*words) | {"nice": "19", "oom": "500"} == nobody(*words)
    assert nobody.refused("nice=-5") == ("EACCES", "attributes", "nice value -5: Permission denied")
    assert nobody.refused("oom=-5") == ("EACCES", "attributes", "oom_score_adj -5: Permission denied")
    assert nobody.refused("scheduler=1", "priority=9") == (
        "EPERM", "attributes", "scheduler 1 with priority 9: Operation not permitted")
    assert nobody.refused("io_class=1", "io_level=0") == (
        "EPERM", "attributes", "I/O priority of class 1, level 0: Operation not permitted")
    most = resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO
    assert all(nobody()[f"limit{limit}"] == "0 0" for limit in most)


# ---- ids and capabilities ----


@KIND
@ROOT
def test_ids(sight, tmp_path):
    seen = sight("uid=1234", "gid=1235", "groups=1236,1237")
    assert seen.ids() == [["1234"] * 4, ["1235"] * 4, ["1236", "1237"]]
    assert seen.capabilities()["Prm"] == seen.capabilities()["Eff"] == 0
    assert sight("groups=").ids()[2] == []
    secret = tmp_path / "secret"
    secret.touch(0o600)
    assert sight.tries("open", secret) == "0"
    assert sight.tries("open", secret, "uid=1234") == "EACCES"
    assert sight.tries("setuid", 0, "uid=1234") == "EPERM"
    assert sight().ids()[0] == ["0"] * 4


@KIND
@ROOT
def test_files_and_directory_as_the_new_user(sight, tmp_path):
    secret = tmp_path / "secret"
    secret.touch(0o600)
    actions = [("open", 5, secret, os.O_RDONLY, 0)]
    sight(actions=actions)
    number, stage, text = sight.refused("uid=1234", actions=actions)
    assert (number, stage) == ("EACCES", "open") and str(secret) in text
    (tmp_path / "private").mkdir(0o700)
    number, stage, text = sight.refused("uid=1234", directory=tmp_path / "private")
    assert (number, stage) == ("EACCES", "directory")


@KIND
def test_ids_of_a_user(nobody):
    assert nobody(f"uid={NOBODY}", f"gid={NOBODY}").ids()[:2] == [[str(NOBODY)] * 4] * 2
    assert nobody.refused("uid=0") == ("EPERM", "attributes", "uid 0: Operation not permitted")
    assert nobody.refused("gid=0") == ("EPERM", "attributes", "gid 0: Operation not permitted")
    assert nobody.refused("groups=0") == ("EPERM", "attributes", "the 1 supplementary groups: Operation not permitted")


@KIND
@ROOT
def test_capabilities_as_another_user(sight, tmp_path):
    sets = sight("uid=1234", f"ambient={NET_BIND}").capabilities()
    assert [sets[name] for name in ("Inh", "Prm", "Eff", "Amb")] == (
        [NET_BIND, NET_BIND, 0, NET_BIND] if sight.kind == "entry" else [NET_BIND] * 4)
    file = tmp_path / "file"
    file.touch()
    tmp_path.chmod(0o755)
    assert sight.tries("chown", file, f"uid={NOBODY}") in ("EPERM", "EACCES")
    if sight.kind == "entry":  # execve(2) takes what is not ambient
        sets = sight("uid=1234", f"permitted={CHOWN | NET_RAW}", f"effective={CHOWN}").capabilities()
        assert [sets[name] for name in ("Inh", "Prm", "Eff", "Amb")] == [0, CHOWN | NET_RAW, CHOWN, 0]


@KIND
@ROOT
def test_capabilities_of_root(sight, tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert sight.tries("chown", file, f"bounding={SYS_ADMIN}", f"permitted={SYS_ADMIN}",
                       f"effective={SYS_ADMIN}") == "EPERM"
    sets = sight(f"bounding={SYS_ADMIN | NET_RAW}").capabilities()
    assert sets["Bnd"] == SYS_ADMIN | NET_RAW
    assert sight.tries("chown", file) == "0"
    assert sight(f"inheritable={NET_RAW}").capabilities()["Inh"] == NET_RAW
    assert sight(f"securebits={NO_SETUID_FIXUP}")["securebits"] == str(NO_SETUID_FIXUP)


@KIND
def test_capabilities_of_a_user(nobody):
    assert nobody.refused(f"permitted={SYS_ADMIN}") == (
        "EPERM", "attributes", "the capability sys_admin: Operation not permitted")
    assert nobody.refused(f"ambient={NET_RAW}") == (
        "EPERM", "attributes", "the capability net_raw: Operation not permitted")
    assert nobody.refused("bounding=0") == (
        "EPERM", "attributes", "dropping chown from the bounding set: Operation not permitted")
    assert nobody.refused("securebits=4") == ("EPERM", "attributes", "securebits 0x4: Operation not permitted")
    assert nobody("permitted=0", "effective=0").capabilities()["Prm"] == 0


@KIND
def test_no_new_privileges(sight):
    assert sight("no_new_privs").status["NoNewPrivs"] == "1"
    own = pathlib.Path("/proc/self/status").read_text()
    assert f"NoNewPrivs:\t{sight().status['NoNewPrivs']}\n" in own


NO_LANDLOCK = pytest.mark.skipif(siblings.landlock_abi() < 1, reason="this kernel has no landlock")


@NO_LANDLOCK
@pytest.mark.parametrize("kind", ["entry"])
def test_ruleset(sight):
    """A further one than the sandbox's, for this process alone; it comes behind all of the request's own steps."""
    assert sight.tries("open", "/etc/passwd", "ruleset=/usr", directory="/tmp") == "EACCES"
    assert sight.tries("open", "/usr/bin/env", "ruleset=/usr") == "0"
    assert sight.tries("open", "/etc/passwd", "ruleset=/usr", sandbox=["no-network"]) == "EACCES"
    assert sight.tries("open", "/etc/passwd") == "0"


@NO_LANDLOCK
@pytest.mark.parametrize("kind", ["program"])
def test_ruleset_of_a_program(sight):
    for words, code in (["ruleset=/usr"], 1), ([], 0), (["ruleset=/usr", "nice=19"], 1):
        request = dict(program="cat", argv=["cat", "/etc/passwd"], actions=[("open", 1, "/dev/null", os.O_WRONLY, 0)])
        assert sight.spawner.run(set_attributes=words, **request).exit_code == code


@KIND
def test_ruleset_that_is_none(sight):
    fd = sight.spawner("open", "/dev/null", os.O_RDONLY)["result"]
    assert sight.refused(f"ruleset_fd={fd}")[:2] in [("EBADFD", "attributes"), ("EINVAL", "attributes"),
                                                     ("ENOSYS", "attributes")]
    with pytest.raises(Failure) as caught:
        sight("ruleset_fd=-1")
    assert (caught.value.errno, caught.value.text) == ("EBADF", "the ruleset's fd -1: Bad file descriptor")


@ROOT
@pytest.mark.parametrize("kind", ["program"])
def test_no_setuid_programs(sight, other_user, program, open_directory):
    """As an ordinary user runs `su`: with no_new_privs its setuid bit does nothing."""
    copy = open_directory / "see"
    copy.write_bytes(pathlib.Path(program("see")).read_bytes())
    copy.chmod(0o4755)
    if os.statvfs(copy).f_flag & os.ST_NOSUID:
        pytest.skip("the file system ignores setuid bits")
    sight.request = {"program": copy}
    assert sight(f"uid={NOBODY}").ids()[0][1] == "0"
    assert sight(f"uid={NOBODY}", "no_new_privs").ids()[0][1] == str(NOBODY)


# ---- the rest ----


@KIND
def test_signal_for_the_servers_end(sight, kind):
    assert sight("pdeathsig=12")["pdeathsig"] == "12"
    if os.geteuid() == 0:  # a change of the uid clears it
        assert sight("pdeathsig=12", f"uid={NOBODY}")["pdeathsig"] == "12"
    spawner = sight.spawner
    process = spawner.spawn(program="sleep", argv=["sleep", "1000"], set_attributes=["pdeathsig=9"])
    os.kill(spawner.server(), signal.SIGKILL)
    assert eventually(lambda: state(process.pid) == "gone")


@pytest.mark.parametrize("kind", ["entry"])
def test_title(sight):
    assert sight("title=a%title")["cmdline"].strip("\0") == "a%title"
    sight.request = {"program": "true"}
    assert sight.refused("title=x") == (
        "EINVAL", "argument", "a program's title is its arguments: a title is for an entry point")


@KIND
def test_executable_memory(sight):
    assert sight.tries("executable", "") == "0"
    if KERNEL < (6, 3):
        assert sight.refused("mdwe")[:2] == ("EINVAL", "attributes")
        return
    assert sight.tries("executable", "", "mdwe") == "EACCES"
    assert sight("mdwe")["mdwe"] == "1"
    assert sight()["mdwe"] == "0"


@pytest.mark.parametrize("kind", ["entry"])
def test_dumpable(sight):
    assert (sight()["dumpable"], sight("dumpable=0")["dumpable"]) == ("1", "0")
    if os.geteuid() == 0:
        assert sight(f"uid={NOBODY}")["dumpable"] != "1"
        assert sight(f"uid={NOBODY}", "dumpable=1")["dumpable"] == "1"
    sight.request = {"program": "true"}
    assert sight.refused("dumpable=0")[:2] == ("EINVAL", "argument")


@KIND
def test_keyring(sight):
    before = sight()["keyring"]
    if before == "-1":
        pytest.skip("no keyrings here")
    rings = [sight("keyring")["keyring"] for _ in range(2)]
    assert len({before, *rings}) == 3 and "-1" not in rings


@KIND
def test_terminal(sight):
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    os.close(theirs)
    try:
        fd = sight.spawner("open", name, os.O_RDWR | os.O_NOCTTY)["result"]
        asks = {"session": 1, "actions": [("dup2", fd, 0)]}
        assert sight(**asks)["terminal"] == "none"
        assert sight("terminal=-1", **asks)["terminal"] == name
        assert sight(f"terminal={fd}", **asks)["terminal"] == name
        assert sight.refused("terminal=-1") == (
            "EINVAL", "argument", "a controlling terminal needs a new session: fsrv_request_set_session()")
        null = sight.spawner("open", "/dev/null", os.O_RDWR)["result"]
        assert sight.refused(f"terminal={null}", **asks) == (
            "ENOTTY", "attributes", "the controlling terminal: Inappropriate ioctl for device")
    finally:
        os.close(ours)


# ---- cgroups ----


@pytest.fixture
def cgroup():
    """A new group below the one that we are in; its path, and its path as /proc/PID/cgroup has it."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    root = next((mount[1] for mount in mounts if mount[2] == "cgroup2"), None)
    own = next((line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()
                if line.startswith("0::")), None)
    if root is None or own is None:
        pytest.skip("no cgroups, version 2")
    path = pathlib.Path(root + own) / f"forkserver-test-{os.getpid()}"
    try:
        path.mkdir()
        subprocess.run(["sh", "-c", 'echo 0 > "$0/cgroup.procs"', path], check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no group can be made here")
    yield path, f"{own.rstrip('/')}/{path.name}"
    assert eventually(lambda: not (path / "cgroup.procs").read_text())
    path.rmdir()


@KIND
def test_cgroup(sight, cgroup):
    path, name = cgroup
    assert sight(f"cgroup={path}")["cgroup"] == f"0::{name}" or f"0::{name}" in sight.output(f"cgroup={path}")
    fd = sight.spawner("open", path, os.O_RDONLY | os.O_DIRECTORY)["result"]
    assert f"0::{name}\n" in sight.output(f"cgroup_fd={fd}")
    assert f"0::{name}\n" not in sight.output()


@KIND
def test_cgroup_of_a_user(nobody, cgroup):
    path, _ = cgroup
    refusal = "EACCES", "argument", f"the cgroup '{path}': Permission denied"
    assert nobody.refused(f"cgroup={path}") == refusal
    fd = nobody.spawner("open", path, os.O_RDONLY | os.O_DIRECTORY)["result"]
    assert nobody.refused(f"cgroup_fd={fd}") == (*refusal[:2], f"the cgroup of fd {fd}: Permission denied")


@KIND
def test_cgroup_that_has_gone(sight, cgroup):
    path, _ = cgroup
    below = path / "below"
    below.mkdir()
    sight.spawner.request(set_attributes=[f"cgroup={below}"], **sight.request)
    below.rmdir()
    with pytest.raises(Failure) as caught:
        sight.spawner.spawn()
    assert (caught.value.errno, caught.value.stage) == ("ENODEV", "attributes")
    assert "moving to the cgroup" in caught.value.text and "below" in caught.value.text


@KIND
def test_no_cgroup(sight):
    assert sight.refused("cgroup=/no/such") == ("ENOENT", "argument",
                                                "the cgroup '/no/such': No such file or directory")
    assert sight.refused("cgroup=/proc") == ("EINVAL", "argument",
                                             "'/proc' is no directory of cgroups, version 2")
    assert sight.refused("cgroup_fd=777") == ("EBADF", "argument", "the cgroup of fd 777: Bad file descriptor")


# ---- mistakes ----

MISTAKES = {
    "limit=99:1:1": "there is no limit with the number 99",
    "limit=7:2:1": "RLIMIT_NOFILE: its soft limit is above its hard one",
    "limit=7:1:1 limit=7:1:1": "RLIMIT_NOFILE is given twice",
    "mask=1": "the list of limits is empty",
    "affinity=0": "the set of processors is empty",
    "affinity=1 affinity_size=0": "a set of processors has 1 to 1024 bytes",
    "affinity=1 affinity_size=1025": "a set of processors has 1 to 1024 bytes",
    "scheduler=6": "scheduler 6 is none of SCHED_OTHER, BATCH, IDLE, FIFO and RR",
    "scheduler=1": "a real-time priority is from 1 to 99, not 0",
    "scheduler=0 priority=1": "only SCHED_FIFO and SCHED_RR have a priority",
    "nice=20": "a nice value is from -20 to 19, not 20",
    "io_class=4": "a class of I/O priority is from 0 to 3, not 4",
    "io_level=8": "a level of I/O priority is from 0 to 7, not 8",
    "oom=1001": "an adjustment of the OOM score is from -1000 to 1000, not 1001",
    "uid=-1": "a uid is from 0 to 4294967294, not 4294967295",
    "groups=-1": "a gid is from 0 to 4294967294",
    "pdeathsig=65": "a signal for the server's end is from 0 to 64, not 65",
    "dumpable=2": "dumpable is from 0 to 1, not 2",
    "title=" + "x" * 240: "a title has at most 239 bytes",
    "cgroup=": "the cgroup's path is empty",
    "cgroup=/ cgroup_fd=3": "the cgroup is given by path and by fd",
    "mask=0x80000000": "there is no attribute with the bit 0x80000000",
}


@pytest.mark.parametrize("kind", ["entry"])
def test_mistakes(sight):
    for words, sentence in MISTAKES.items():
        assert sight.refused(*words.split()) == ("EINVAL", "argument", sentence)
    assert sight.refused("size=8")[:2] == ("EINVAL", "argument")
    for word in "terminal=-2", "cgroup_fd=-2":
        assert sight.refused(word)[:2] == ("EBADF", "argument")
    assert sight()["nice"] != sight("nice=19")["nice"]


@KIND
def test_an_fd_that_is_closed(sight):
    assert sight.refused("terminal=777", session=1)[0] == "EBADF"


# ---- the rest of a spawn stays as it was ----


def test_the_lender_stays_as_it_was(sights, module):
    """A program borrows a standby's memory. What the kernel has with the memory must not stay with the standby."""
    program = sights("program")
    entry = Sight(program.spawner, "entry", module("seen"), None)
    before = entry()
    for words in ["mdwe"], ["oom=500"], ["uid=1234"], ["nice=19", "limit=7:20:20", "no_new_privs"], ["keyring"]:
        if os.geteuid() != 0 and words[0].startswith("uid") or KERNEL < (6, 3) and words[0] == "mdwe":
            continue
        for _ in range(6):  # as many as there are standbys, and more
            program(*words)
        for _ in range(6):
            after = entry()
            for name in "mdwe", "oom", "dumpable", "nice", "limit7", "keyring", "pdeathsig":
                assert after[name] == before[name], (words, name)
            assert after.status["NoNewPrivs"] == before.status["NoNewPrivs"] and after.ids() == before.ids()


@KIND
def test_large_requests(sight):
    """The body is in a memfd, also with a payload behind it; and there are more fds than fit into one message."""
    assert sight("nice=19", "title=t" if sight.kind == "entry" else "slack=5",
                 environment=["X=" + "y" * 100000])["nice"] == "19"
    if sight.kind == "entry":
        assert sight("nice=19", payload=["payload", 20000])["nice"] == "19"
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    os.close(theirs)
    try:
        fd = sight.spawner("open", name, os.O_RDWR | os.O_NOCTTY)["result"]
        actions = [("dup2", fd, 0), *[("fd", fd)] * 300]
        assert sight("nice=19", f"terminal={fd}", session=1, actions=actions)["terminal"] == name
    finally:
        os.close(ours)


def trace(pid, path):
    command = ["strace", "-f", "-qq", "-p", str(pid), "-o", path]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(bool(MISSING & {"sud"}), reason="elsewhere a worker makes other calls")
@pytest.mark.parametrize("kind", ["entry", "program"])
def test_nothing_costs_nothing(sight, tmp_path):
    """A spawn without attributes makes no call for them. What it calls is counted in a standby, from request to run."""
    if subprocess.run(["sh", "-c", "strace -o /dev/null true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no strace here")
    plain, other = calls(sight, tmp_path / "plain"), calls(sight, tmp_path / "other", "nice=19", "no_new_privs")
    assert not {call for call in plain if call.startswith("set") or "sched_set" in call or call == "capset"} - {
        "setitimer", "set_robust_list", "set_tid_address", "setpgid"}
    waits = {"futex", "poll", "clock_gettime", "restart_syscall", "rt_sigreturn"}
    assert set(other) - set(plain) - waits == {"setpriority"}
    assert other["prctl"] == plain.get("prctl", 0) + 1  # no_new_privs


def calls(sight, path, *words):
    """Name and number of the calls of the processes that ran one spawn."""
    spawner = sight.spawner
    spawner("ready", LIMIT * 1000)
    standbys = eventually(lambda: len(found := spawner.standbys()) >= 4 and spawner.stats()["standbys"] == len(found)
                          and found)
    assert standbys
    tracers = [trace(pid, f"{path}.{pid}") for pid in standbys]
    assert eventually(lambda: all(tracer_pid(pid) for pid in standbys))
    try:
        sight(*words)
    finally:
        for tracer in tracers:
            tracer.terminate()
            tracer.wait()
    found = {}
    for pid in standbys:
        for name in re.findall(r"^\d+ +(\w+)\(", pathlib.Path(f"{path}.{pid}").read_text(), re.MULTILINE):
            found[name] = found.get(name, 0) + 1
    return found


def tracer_pid(pid):
    return "TracerPid:\t0" not in pathlib.Path(f"/proc/{pid}/status").read_text()
