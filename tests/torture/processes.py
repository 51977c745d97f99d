# SPDX-License-Identifier: MIT
"""The processes of fork servers below this one: what they are, and what is done to them."""

import os
import signal
import time

ROLES = ("server", "zygote", "standby", "worker")


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def role(pid):
    """As `ps` has it; None for all that isn't a fork server's. A process that was just forked looks like its zygote."""
    words = read(f"/proc/{pid}/cmdline").split(b"\0")[0].decode(errors="replace").split()
    return words[1] if len(words) > 1 and words[0] == "forkserver:" and words[1] in ROLES else None


def stat(pid):
    """state, parent, group, session … start time: the fields of /proc/PID/stat from the third on; [] if it is gone."""
    return read(f"/proc/{pid}/stat").decode(errors="replace").rpartition(")")[2].split()


def state(pid):
    return (stat(pid) or ["X"])[0]


def children(pid):
    return [int(word) for word in read(f"/proc/{pid}/task/{pid}/children").split()]


def servers():
    """Those that are alive. Private ones are orphans from the beginning, and ours as the reaper of orphans."""
    return [pid for pid in children(os.getpid()) if role(pid) == "server" and state(pid) not in "ZX"]


def parts(server, wanted):
    """Its living children of that role, the oldest first: the first 'zygote' is it, others were just forked."""
    found = [pid for pid in children(server) if role(pid) == wanted]
    starts = {pid: int(fields[19]) for pid in found if len(fields := stat(pid)) > 19 and fields[0] not in "ZX"}
    return sorted(starts, key=starts.get)


def client_of(server):
    """The number of the client that started a private server: in the environment that it has from it. 0: a named
    one."""
    words = read(f"/proc/{server}/environ").split(b"\0")
    return int(next((word.split(b"=")[1] for word in words if word.startswith(b"TORTURE_CLIENT=")), 0))


class Held:
    """A process by pidfd, so that no signal meets a later one with its pid; stopped until it is let go, or killed."""

    def __init__(self, pid, wanted):
        """ProcessLookupError if it isn't of that role (any more)."""
        self.pid, self.pidfd = pid, os.pidfd_open(pid)
        try:
            # It can't change while it is stopped: a standby that took a request and calls itself so has not run
            # anything yet.
            self.signal(signal.SIGSTOP)
            self.wait_until_stopped()
            if role(pid) != wanted:
                raise ProcessLookupError
        except ProcessLookupError:
            self.go()
            raise

    def wait_until_stopped(self):
        end = time.monotonic() + 5
        while (now := state(self.pid)) not in "Tt":
            if now in "ZX" or time.monotonic() > end:
                raise ProcessLookupError
            time.sleep(0.0001)

    def signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def end(self, number):
        try:
            self.signal(number)
        except ProcessLookupError:
            pass
        os.close(self.pidfd)

    def go(self):
        self.end(signal.SIGCONT)

    def kill(self):
        self.end(signal.SIGKILL)


def hold(pid, wanted):
    """None if there is no such process any more."""
    try:
        return Held(pid, wanted)
    except ProcessLookupError:
        return None
