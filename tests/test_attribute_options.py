# SPDX-License-Identifier: MIT
"""The options of run, map and call that set what their processes are and may do."""

import os
import resource
import subprocess

import pytest

from conftest import NOBODY
from spawner import LIMIT
from test_request_attributes import NET_RAW, ROOT, Seen

COMMANDS = pytest.mark.parametrize("command", ["run", "map", "call"])


@pytest.fixture
def sees(forkserver, module, program):
    """sees(command, *options): what the process finds out about itself."""
    def see(command, *options, expected=0):
        what = {"run": [program("see")], "map": [program("see"), ":::", "x"], "call": [f"{module('seen')}:seen"]}
        words = [forkserver, command, *map(str, options), *what[command]]
        result = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
        if expected == 0 and command != "call":  # which gives no result
            assert (result.returncode, result.stderr) == (0, ""), result
        return Seen(result.stdout or result.stderr) if expected == 0 else result

    return see


@pytest.mark.parametrize("command", ["run", "call"])
def test_each(sees, command):
    most = int(sees(command)["affinity"].split()[-1])
    seen = sees(command, "--rlimit", "NOFILE=64:128", "--rlimit", "core=0", "--rlimit", "RLIMIT_FSIZE=2G:unlimited",
                "--nice", 19, "--cpu-list", most, "--ionice", "best-effort:6", "--oom-score-adj", 55, "--no-new-privs",
                "--pdeathsig", "TERM")
    assert (seen["limit7"], seen[f"limit{resource.RLIMIT_CORE}"]) == ("64 128", "0 0")
    assert seen[f"limit{resource.RLIMIT_FSIZE}"] == f"{2 << 30} -1"
    assert (seen["nice"], seen["affinity"], seen["io"]) == ("19", str(most), str(2 << 13 | 6))
    assert (seen["oom"], seen["pdeathsig"], seen.status["NoNewPrivs"]) == ("55", "15", "1")


def test_map(forkserver):
    words = [forkserver, "map", "--rlimit", "NOFILE=77", "--nice", "19", "sh", "-c", "ulimit -n; nice", ":::", "a", "b"]
    assert subprocess.check_output(words, text=True, timeout=LIMIT) == "77\n19\n" * 2


@ROOT
@pytest.mark.parametrize("command", ["run", "call"])
def test_ids(sees, command, other_user):
    seen = sees(command, "--reuid", NOBODY, "--regid", 1235, "--groups", "1236,1237")
    assert seen.ids() == [[str(NOBODY)] * 4, ["1235"] * 4, ["1236", "1237"]]
    assert sees(command, "--reuid", "nobody", "--regid", "root", "--clear-groups").ids() == [
        [str(NOBODY)] * 4, ["0"] * 4, []]
    sets = sees(command, "--reuid", NOBODY, "--ambient-caps", "+net_raw", "--bounding-set", "-all,+CAP_NET_RAW",
                "--inh-caps", "+chown,-chown", "--securebits", "+noroot").capabilities()
    assert [sets[name] for name in ("Inh", "Prm", "Bnd", "Amb")] == [NET_RAW] * 4
    assert sees(command, "--securebits", "+noroot")["securebits"] == "1"


@pytest.mark.parametrize("command", ["run"])
def test_limits_of_one_kind(sees, command):
    soft, hard = sees(command)["limit7"].split()
    assert sees(command, "--rlimit", "NOFILE=50:")["limit7"] == f"50 {hard}"
    assert sees(command, "--rlimit", f"NOFILE=:{hard}")["limit7"] == f"{soft} {hard}"
    assert sees(command, "--rlimit", "NOFILE=50", "--rlimit", "NOFILE=60")["limit7"] == "60 60"
    processors = sees(command, "--cpu-list", "0-1023:1")["affinity"].split()
    assert processors == [str(cpu) for cpu in sorted(os.sched_getaffinity(0))]


MISTAKES = {
    "--rlimit FOO=1": "--rlimit: 'FOO' is none of CPU, FSIZE, DATA, STACK, CORE, RSS, NPROC, NOFILE, MEMLOCK, AS, "
                      "LOCKS, SIGPENDING, MSGQUEUE, NICE, RTPRIO, RTTIME",
    "--rlimit NOFILE=x": "--rlimit: 'NOFILE=x' is not NAME=SOFT[:HARD] with numbers, as NOFILE=64 or AS=2G:4G",
    "--rlimit NOFILE": "--rlimit: 'NOFILE' is not NAME=SOFT[:HARD] with numbers, as NOFILE=64 or AS=2G:4G",
    "--rlimit AS=20000000T": "--rlimit: 'AS=20000000T' is not NAME=SOFT[:HARD] with numbers, as NOFILE=64 or AS=2G:4G",
    "--rlimit AS=1GB": "--rlimit: 'AS=1GB' is not NAME=SOFT[:HARD] with numbers, as NOFILE=64 or AS=2G:4G",
    "--rlimit AS=-1": "--rlimit: 'AS=-1' is not NAME=SOFT[:HARD] with numbers, as NOFILE=64 or AS=2G:4G",
    "--nice 30": "--nice: '30' is not a whole number from -20 to 19",
    "--nice x": "--nice: 'x' is not a whole number from -20 to 19",
    "--cpu-list 3-1": "--cpu-list: '3-1' is not a list of processors below 1024, as 0-3,8",
    "--cpu-list 0,": "--cpu-list: '0,' is not a list of processors below 1024, as 0-3,8",
    "--ionice foo": "--ionice: 'foo' is none of none, realtime, best-effort and idle",
    "--ionice 2:9": "--ionice: '9' is not a whole number from 0 to 7",
    "--oom-score-adj 2000": "--oom-score-adj: '2000' is not a whole number from -1000 to 1000",
    "--reuid nosuch": "--reuid: there is no user 'nosuch'",
    "--groups 0,nosuch": "--groups: there is no group 'nosuch'",
    "--bounding-set chown": "--bounding-set: 'chown' is no capability or 'all' with + or - before it",
    "--ambient-caps +foo": "--ambient-caps: '+foo' is no capability or 'all' with + or - before it",
    "--securebits +x": "--securebits: '+x' is no securebit of capabilities(7) with + or - before it",
    "--pdeathsig FOO": "--pdeathsig: 'FOO' is no signal, nor 'clear'",
    "--pdeathsig 99": "--pdeathsig: '99' is not a whole number from 1 to 64",
    "--cgroup /no/such": "the cgroup '/no/such': No such file or directory (stage argument)",
    "--rlimit NOFILE=2:1": "RLIMIT_NOFILE: its soft limit is above its hard one (stage argument)",
}


@pytest.mark.parametrize("command", ["run"])
def test_mistakes(sees, command):
    for words, sentence in MISTAKES.items():
        result = sees(command, *words.split(), expected=None)
        assert (result.returncode, result.stdout, result.stderr) == (125, "", f"forkserver: {sentence}\n")


@COMMANDS
def test_group_without_groups(sees, command):
    result = sees(command, "--regid", 5, expected=None)
    assert result.returncode == 125
    assert result.stderr == ("forkserver: --regid needs --groups or --clear-groups: the process would keep the "
                             f"server's groups (try 'forkserver {command} --help')\n")


def test_what_the_kernel_refuses(sees):
    """The step is named, and the exit code is for our own failures."""
    result = sees("run", "--rlimit", f"NOFILE={1 << 40}", expected=None)
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr == (f"forkserver: RLIMIT_NOFILE to {1 << 40}:{1 << 40}: Operation not permitted "
                             "(stage attributes)\n")


@COMMANDS
def test_help(forkserver, command):
    text = subprocess.check_output([forkserver, command, "--help"], text=True)
    for option in ("rlimit", "nice", "oom-score-adj", "cpu-list", "ionice", "reuid", "regid", "groups", "clear-groups",
                   "bounding-set", "ambient-caps", "inh-caps", "securebits", "no-new-privs", "pdeathsig", "cgroup"):
        assert f"--{option}" in text
