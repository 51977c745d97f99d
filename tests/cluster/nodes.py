# SPDX-License-Identifier: MIT
"""
Nodes on one machine: each has namespaces of pids, networks and names of its own, and all are on one bridge.

They are in namespaces that enter() makes. So nothing of them can be seen outside, and when the first process there
ends, all end.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

INSIDE = "FORKSERVER_CLUSTER"
PR_SET_PDEATHSIG = 1
NETWORK = "10.99.0"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


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


class Nodes:
    """Nodes n1, n2 and so on; to be used once enter() has returned."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = {}

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

    def start_node(self, name, command):
        """command: for a shell, that execs it."""
        setup = (f"hostname {name}; ip link set lo up; until ip link set node up 2>/dev/null; do sleep 0.01; done; "
                 f"ip address add {address_of(name)}/24 dev node; exec {command}")
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
        """As if it had lost its power: all that runs there, at once."""
        process = self.processes.pop(name)
        process.kill()  # its child is the first process of the node, and is killed with it
        process.wait()
        subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL)  # the kernel takes its time

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes = {}


def address_of(name):
    return f"{NETWORK}.{10 + int(name[1:])}"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def run(*command, **options):
    """What it prints; an error if it fails."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if result.returncode:
        raise RuntimeError(f"{command[0]}: {result.returncode}: {result.stderr}")
    return result.stdout
