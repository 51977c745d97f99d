# SPDX-License-Identifier: MIT
"""
A cluster of Slurm on one machine: munged, slurmctld, and for each node a slurmd in namespaces of its own.

All of it is in namespaces of pids, networks and mounts that enter() makes, with files in one temporary directory. So
nothing of it can be seen outside, and when the first process there ends, all end.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time

PROGRAMS = ["unshare", "ip", "munged", "mungekey", "slurmctld", "slurmd", "srun", "sbatch", "scancel", "scontrol"]
INSIDE = "FORKSERVER_CLUSTER"
PR_SET_PDEATHSIG = 1
NETWORK = "10.99.0"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

CONFIGURATION = """\
ClusterName=test
SlurmctldHost=ctl({network}.1)
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool-%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/%n.log
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdTimeout=10
KillWait=1
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Why there can be no cluster here; an empty text if there can."""
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if lacking:
        return f"{lacking[0]} is not there (Debian: slurmctld, slurmd, slurm-client, munge)"
    if subprocess.run(unshare("true"), stderr=subprocess.DEVNULL, check=False).returncode:
        return "no namespaces can be made here, which takes root"  # in a user namespace Slurm cannot call setgroups(2)
    return ""


def unshare(*command):
    return ["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
            *command]


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def enter(seconds):
    """Runs this program again in namespaces, and exits as it does. Returns there."""
    if os.environ.get(INSIDE):
        return
    process = subprocess.Popen(unshare(sys.executable, *sys.argv), preexec_fn=die_with_parent,
                               env=dict(os.environ, PATH=PATH, **{INSIDE: "1"}))
    try:
        sys.exit(process.wait(seconds))
    except subprocess.TimeoutExpired:
        print(f"cluster: it has not ended after {seconds} s", file=sys.stderr)
        sys.exit(1)
    finally:
        process.kill()
        process.wait()


def until(condition, seconds=60, what="what was waited for"):
    """Waits for it, and gives back what it gave."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds} s")
        time.sleep(0.05)
    return result


class Slurm:
    """The cluster; to be used once enter() has returned."""

    def __init__(self, directory, nodes=3, cpus=2):
        self.directory = directory
        self.processes = {}
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        os.chmod(directory, 0o755)
        (directory / "state").mkdir()
        text = CONFIGURATION.format(directory=directory, network=NETWORK)
        for number, name in enumerate(self.names, 11):
            text += f"NodeName={name} NodeAddr={NETWORK}.{number} CPUs={cpus}\n"
        (directory / "slurm.conf").write_text(text)
        os.environ["SLURM_CONF"] = str(directory / "slurm.conf")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        run("sh", "-c", f"hostname ctl; ip link set lo up; ip link add bridge type bridge; "
            f"ip address add {NETWORK}.1/24 dev bridge; ip link set bridge up")
        run("mungekey", "--create", f"--keyfile={self.directory}/munge.key")
        self.launch("munged", "munged", "--foreground", "--force", *(
            f"--{option}={self.directory}/munge.{suffix}" for option, suffix in (
                ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("seed-file", "seed"))))
        until((self.directory / "munge.socket").exists)
        self.launch("slurmctld", "slurmctld", "-D", "-c")
        for name in self.names:
            self.start_node(name)
        self.wait_for_nodes()

    def wait_for_nodes(self):
        """Until all are idle. The controller doesn't answer at once."""
        words = ["sinfo", "-h", "-o", "%n %t"]
        until(lambda: subprocess.run(words, capture_output=True, check=False).stdout.count(b"idle") == len(self.names),
              what="all nodes")

    def start_node(self, name):
        number = int(name[1:])
        setup = (f"hostname {name}; ip link set lo up; until ip link set node up 2>/dev/null; do sleep 0.01; done; "
                 f"ip address add {NETWORK}.{10 + number}/24 dev node; exec slurmd -D")
        process = self.launch(name, "unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child",
                              "sh", "-c", setup)
        first = until(lambda: children(process.pid))[0]
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "node", "netns", str(first))
        run("ip", "link", "set", name, "master", "bridge", "up")

    def launch(self, name, *command):
        log = open(self.directory / f"{name}.out", "ab")
        with log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes[name] = process
        return process

    def kill_node(self, name):
        """As if it had lost its power: slurmd and all that runs there, at once."""
        process = self.processes.pop(name)
        process.kill()  # its child is the first process of the node, and is killed with it
        process.wait()

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes = {}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def run(*command, **options):
    """What it prints; an error if it fails."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if result.returncode:
        raise RuntimeError(f"{command[0]}: {result.returncode}: {result.stderr}")
    return result.stdout


def submit(*words, **options):
    """The job's number."""
    return int(re.search(r"\d+", run("sbatch", "--parsable", *words, **options))[0])


def unfinished(job):
    """The states of what of the job has not ended."""
    result = subprocess.run(["squeue", "-h", "-r", "-o", "%T", "-j", str(job)], capture_output=True, text=True,
                            check=False)
    return result.stdout.split()
