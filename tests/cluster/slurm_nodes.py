# SPDX-License-Identifier: MIT
"""A cluster of Slurm on one machine: munged, slurmctld, and for each node a slurmd in namespaces of its own."""

import os
import re
import shutil
import subprocess

from nodes import NETWORK, PATH, Nodes, run, unshare, until

PROGRAMS = ["unshare", "ip", "munged", "mungekey", "slurmctld", "slurmd", "srun", "sbatch", "scancel", "scontrol"]

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


class Slurm(Nodes):
    """The cluster; to be used once nodes.enter() has returned."""

    def __init__(self, directory, nodes=3, cpus=2):
        super().__init__(directory)
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        os.chmod(directory, 0o755)
        (directory / "state").mkdir()
        text = CONFIGURATION.format(directory=directory, network=NETWORK)
        for number, name in enumerate(self.names, 11):
            text += f"NodeName={name} NodeAddr={NETWORK}.{number} CPUs={cpus}\n"
        (directory / "slurm.conf").write_text(text)
        os.environ["SLURM_CONF"] = str(directory / "slurm.conf")

    def start(self):
        super().start()
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

    def start_node(self, name, command="slurmd -D"):
        super().start_node(name, command)


def submit(*words, **options):
    """The job's number."""
    return int(re.search(r"\d+", run("sbatch", "--parsable", *words, **options))[0])


def unfinished(job):
    """The states of what of the job has not ended."""
    result = subprocess.run(["squeue", "-h", "-r", "-o", "%T", "-j", str(job)], capture_output=True, text=True,
                            check=False)
    return result.stdout.split()
