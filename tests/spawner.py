# SPDX-License-Identifier: MIT
"""The library, as tests/programs/spawner.c offers it: a process of its own, told what to do over a socket."""

import errno
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from leftovers import PATIENCE

LIMIT = 60 * PATIENCE  # seconds for anything that has to happen
STANDBYS = 4  # the default
POLICY = {"warn": 0, "fail": 1, "ignore": 2}
KILL_ON_CLOSE, TELL_STOPS, QUICK_EXIT = 1, 2, 4
TIMED_OUT, NO_RUSAGE = 2, 4


def eventually(condition, limit=LIMIT):
    """Polls until the condition holds; its value."""
    end = time.monotonic() + limit
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.002)
    return value


def title(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace").strip()
    except OSError:
        return ""


def state(pid):
    """A letter as ps has it; "gone" for a process that is no more, or not reaped yet."""
    try:
        letter = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
    return "gone" if letter in "ZX" else letter


def children(pid):
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def encode(word):
    """Words are separated by spaces, so those and % and newlines are written as %XX."""
    data = os.fsencode(str(word)).replace(b"%", b"%25").replace(b" ", b"%20").replace(b"\n", b"%0A")
    return data


class Failure(Exception):
    """A call of the library returned a negative number."""

    def __init__(self, command, answer):
        self.errno, self.stage, self.text = answer["errno"], answer.get("stage"), answer.get("text", "")
        self.pid, self.answer = answer.get("failed_pid"), answer
        super().__init__(f"{command}: {self.errno}, stage {self.stage}: {self.text}")
        if self.stage:
            assert errno.errorcode[answer["err"]] == self.errno or answer["err"] == -answer["result"]
            assert self.text and "\n" not in self.text


class Status:
    def __init__(self, answer):
        self.pid, self.exit_code, self.signal = answer["pid"], answer["exit_code"], answer["signal"]
        self.flags, self.cpu_us, self.maxrss = answer["flags"], answer["cpu_us"], answer["maxrss"]
        self.refused = answer["refused"], answer["refused_call"]

    def __repr__(self):
        return f"exit code {self.exit_code}, signal {self.signal}, flags {self.flags:#x}"


class Process:
    def __init__(self, spawner, answer):
        self.spawner, self.index, self.pid = spawner, answer["process"], answer["pid"]

    def wait(self, timeout_ms=LIMIT * 1000):
        return Status(self.spawner("wait", self.index, timeout_ms))

    def code(self):
        """The exit code, or minus the signal."""
        status = self.wait()
        return -status.signal if status.signal else status.exit_code

    def kill(self, number=signal.SIGKILL):
        return self.spawner("kill", self.index, int(number))

    def unref(self):
        return self.spawner("unref", self.index)

    def is_alive(self):
        return state(self.pid) != "gone"


class Spawner:
    def __init__(self, command, **options):
        ours, theirs = socket.socketpair()
        with theirs:
            fds = [theirs.fileno(), *options.pop("pass_fds", ())]
            self.process = subprocess.Popen([*command, str(theirs.fileno())], pass_fds=fds, **options)
        self.socket, self.file, self.may_die = ours, ours.makefile("rwb"), False

    def __call__(self, command, *words):
        self.ask(command, *words)
        return self.answer(command)

    def ask(self, command, *words):
        """Without waiting for the answer."""
        self.socket.settimeout(2 * LIMIT)
        self.file.write(b" ".join([encode(command), *map(encode, words)]) + b"\n")
        self.file.flush()

    def answer(self, command="…"):
        line = self.file.readline()
        assert line, f"the spawner ended at '{command}': {self.process.wait()}"
        answer = json.loads(line)
        if answer["result"] < 0:
            raise Failure(command, answer)
        assert "told" not in answer, f"{command}: a success wrote into the error"
        return answer

    def new(self, preload=None, policy="fail", **options):
        words = ["policy", POLICY[policy]]
        for name, value in options.items():
            words += [name, value]
        return self("new", *words, *([] if preload is None else ["preload", *preload]))

    def request(self, argv=None, environment=None, actions=(), set_attributes=(), **attributes):
        """actions: tuples of a name and its numbers, in order; a list as a value is several words. set_attributes:
        words NAME=VALUE, as tests/programs/spawner_attributes.c has them."""
        self("request")
        for name, value in attributes.items():
            self("set", name, *(value if isinstance(value, (list, tuple)) else [value]))
        if argv is not None:
            self("set", "argv", *argv)
        if environment is not None:
            self("set", "environment", *environment)
        for action in actions:
            self("set", *action)
        if set_attributes:
            self("attributes", *set_attributes)

    def spawn(self, **request):
        if request:
            self.request(**request)
        return Process(self, self("spawn"))

    def spawn_many(self, n, **request):
        """The processes, and why there are fewer than n."""
        if request:
            self.request(**request)
        answer = self("spawn_many", n)
        made = [Process(self, {"process": answer["first"] + i, "pid": pid}) for i, pid in enumerate(answer["pids"])]
        return made, (answer["why_stage"], answer["why"])

    def run(self, **request):
        """The status of a process that was waited for by the call which created it."""
        if request:
            self.request(**request)
        return Status(self("run"))

    def call(self, entry, *args, **request):
        """Spawns an entry point with arguments."""
        return self.spawn(entry=entry, argv=[entry, *args], **request)

    def output(self, entry, *args, **request):
        """What the entry point writes on its standard output; it has to exit with 0."""
        code, text = self.code_and_output(entry=entry, argv=[entry, *args], **request)
        assert code == 0, text
        return text

    def code_and_output(self, which=2, **request):
        if request:
            self.request(**request)
        answer = self("spawn_pipes", which)
        fd = answer["fds"][1] if which & 2 else answer["fds"][2]
        text = self("read", fd)["bytes"]
        self("close", fd)
        return Process(self, answer).code(), text

    def stats(self):
        return self("stats")

    def server(self):
        return self.stats()["server_pid"]

    def zygote(self):
        """The pid of a zygote that has preloaded and forked."""
        stats = eventually(lambda: (s := self.stats())["standbys"] > 0 and s["zygote_pid"] and s)
        assert stats, "no zygote gets ready"
        return stats["zygote_pid"]

    def standbys(self):
        return [pid for pid in children(self.server()) if title(pid) == "forkserver: standby"]

    def die(self):
        """By SIGKILL, as a program that crashes."""
        self.may_die = True
        self.process.kill()
        self.process.wait()

    def end(self):
        self.file.close()
        self.socket.close()
        if not self.may_die:
            assert self.process.wait(LIMIT) == 0, "the spawner did not end well: a sanitizer's report?"
