# SPDX-License-Identifier: MIT
"""
What a process in a sandbox reaches of its siblings, the zygotes, the server and the client: a table by profile. It is
measured by tests/modules/escapes/, and stands in SECURITY.md (`./dev siblings --write`).
"""

import ctypes
import os
import pathlib
import time

from conftest import NOBODY
from escape import Place, Prisoner
from spawner import STANDBYS, children, eventually, title

NONE = "no sandbox"
PROFILES = [NONE, "no-exec", "no-network", "untrusted", "pure-compute"]
VICTIMS = ["sibling", "standby", "its zygote", "first zygote", "other worker", "server", "client"]
ON_PROCESSES = {"`ptrace`": "ptrace_attach", "`process_vm_readv`": "vm_read",
                "`/proc/PID/mem`": "open_memory_of_parent", "`/proc/PID/fd`": "open_fd_of_parent",
                "`/proc/PID/environ`": "read_environment_of_parent",
                "`pidfd_getfd`": "getfd", "`kill`": "kill_target", "`prlimit`": "set_limit",
                "`setpriority`": "set_priority", "`sched_setaffinity`": "set_affinity",
                "`ioprio_set`": "set_io_priority"}
SIGNAL_BY_FD = "a signal by `fcntl(F_SETOWN)`"
ON_NAMES = {"another's System V shared memory": "attach_memory", "another's POSIX message queue": "open_message_queue",
            "POSIX shared memory": "make_shared_memory", "another's abstract socket": "connect_abstract",
            "a file in `/tmp`": "make_in_tmp"}
BEGIN, END = "<!-- generated: siblings, by ./dev siblings --write -->", "<!-- end -->"
SECURITY = pathlib.Path(__file__).parent.parent / "SECURITY.md"


def landlock_abi():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


class Row(Prisoner):
    """A prisoner with victims around it."""

    lists_paths = False

    def __init__(self, *args):
        super().__init__(*args)
        self.victims = {"sibling": self.make_victim(), "other worker": self.make_victim(free=True)}
        self.pids = {name: process.pid for name, process in self.victims.items()}
        stats = self.spawner.stats()
        self.pids |= {"server": stats["server_pid"], "first zygote": stats["zygote_pid"],
                      "client": self.spawner.process.pid}
        zygotes = [pid for pid in children(stats["server_pid"]) if title(pid).startswith("forkserver: zygote")]
        self.pids["its zygote"] = next((pid for pid in zygotes if pid != stats["zygote_pid"]), stats["zygote_pid"])

    def make_victim(self, free=False):
        profile, self.profile = self.profile, None if free else self.profile
        self.request("victim")
        self.profile = profile
        return self.spawner.spawn()

    def reached(self, name):
        """The victims that it works on. The newest standby is the last to take a request, and so isn't the attacker."""
        enough = STANDBYS * (2 if self.profile else 1)
        standbys = eventually(lambda: (found := self.spawner.standbys())[enough - 1:] and found)
        return {victim for victim, pid in [("standby", standbys[-1]), *self.pids.items()]
                if self.attempt(name, pid)[0] == "worked"}

    def signalled(self):
        reached = set()
        for name in self.victims:
            process = self.make_victim(free=name == "other worker")
            self.request("signal_target_by_fd", target=process.pid)
            self.spawner.code_and_output()
            end = time.monotonic() + 0.1
            while process.is_alive() and time.monotonic() < end:
                time.sleep(0.002)
            if process.is_alive():
                process.kill()
            else:
                reached.add(name)
            process.wait()
        return reached

    def measure(self):
        """{attack: victims}; of what has no victim {"all"}."""
        found = {attack: self.reached(name) for attack, name in ON_PROCESSES.items()}
        found[SIGNAL_BY_FD] = self.signalled()
        for attack, name in ON_NAMES.items():
            found[attack] = {"all"} if self.attempt(name)[0] == "worked" else set()
        return found

    def end(self):
        for process in self.victims.values():
            process.kill()
            process.wait()
        super().end()


def measure(program, module):
    """{profile: {attack: victims}}: what root or an ordinary user reaches."""
    found = {profile: {} for profile in PROFILES}
    for uid in [0, NOBODY] if os.geteuid() == 0 else [os.geteuid()]:
        place = Place(uid)
        try:
            for profile in PROFILES:
                row = Row(program, module, place, profile if profile != NONE else None)
                for attack, reached in row.measure().items():
                    found[profile].setdefault(attack, set()).update(reached)
                row.end()
        finally:
            place.close()
    return found


def cell(attack, reached):
    possible = {SIGNAL_BY_FD: {"sibling", "other worker"}}.get(attack, set(VICTIMS))
    if not reached:
        return "closed"
    if reached >= possible or "all" in reached:
        return "open"
    return "open: " + ", ".join(victim for victim in VICTIMS if victim in reached)


def to_table(found):
    names = [profile if profile == NONE else f"`{profile}`" for profile in PROFILES]
    lines = ["| from inside | " + " | ".join(names) + " |", "|---|" + "---|" * len(PROFILES)]
    for attack in found[PROFILES[0]]:
        lines.append(f"| {attack} | " + " | ".join(cell(attack, found[profile][attack]) for profile in PROFILES) + " |")
    return "\n".join(lines)


def of_page():
    """The table that SECURITY.md has."""
    text = SECURITY.read_text()
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def write(table):
    text = SECURITY.read_text()
    before, _, rest = text.partition(BEGIN)
    SECURITY.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
