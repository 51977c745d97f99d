# SPDX-License-Identifier: MIT
"""One variant of the torture: clients, their servers, what is done to them, and what has come of it."""

import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time

from leftovers import PATIENCE, command_line, kill_all, open_fds, wait_for_processes
from processes import children, client_of, hold, parts, role, servers, state
from record import Record

REST_LIMIT = 60 * PATIENCE  # seconds: for clients to finish what they have begun, and servers to be at rest
END_LIMIT = 15 * PATIENCE   # for processes to end by themselves
MISSES = 200        # acts in a row that find nobody
TRIES = 40          # looks for a standby
# What is done, how often, and to whom. "zygote+": it and all standbys.
KILLS = {"zygote": 25, "standby": 25, "zygote+": 10, "client": 4}
SERVER_KILLS = {"server": 12}
RENEWALS = {"reload": 40, "takeover": 4}
STOPS = {"zygote": 10, "standby": 10, "server": 8, "client": 4}


class Field:
    def __init__(self, variant, build, seconds, acts, seed):
        self.variant, self.build, self.seconds, self.asked = variant, build, seconds, acts
        self.random = random.Random(f"{seed} {variant.name}")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="forkserver-torture-"))
        for name in ("tmp", "cwd", "logs"):
            (self.directory / name).mkdir()
        (self.directory / "logs" / "ran").touch()
        self.fds = open_fds()
        self.clients, self.ids, self.ended, self.server, self.servers = {}, 0, {}, None, set()
        self.stopped = []       # (until when, who)
        self.acts, self.done, self.deaths = [], {}, []
        self.broken = []        # rules, in words

    # ---- starting ----

    def start_process(self, command, log, number=0):
        """By posix_spawn, so that every child is reaped in one place. In a group of its own, whose members have a
        parent outside of it: in an orphaned one every end of a worker brings SIGHUP while somebody is stopped. The
        writing end of its input."""
        reading, writing = os.pipe()
        environment = {**os.environ, "TMPDIR": str(self.directory / "tmp"),
                       "FORKSERVER_HELPERS": str(self.build / "src"),
                       "TORTURE_MIB": str(self.variant.mib), "TORTURE_CLIENT": str(number)}
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [(os.POSIX_SPAWN_DUP2, reading, 0)]
        actions += [(os.POSIX_SPAWN_OPEN, fd, str(self.directory / "logs" / log), flags, 0o600) for fd in (1, 2)]
        words = ["/usr/bin/env", "-C", str(self.directory / "cwd"), *map(str, self.deny()), *map(str, command)]
        pid = os.posix_spawn(words[0], words, environment, file_actions=actions, setpgroup=0)
        os.close(reading)
        return pid, writing

    def deny(self):
        return [self.build / "tests" / "deny", *self.variant.deny, "--"] if self.variant.deny else []

    @property
    def socket(self):
        return self.directory / "tmp" / "socket"

    @property
    def module(self):
        return self.build / "tests" / "torture" / "tortured.so"

    def start_server(self, *options):
        command = [self.build / "src" / "forkserver", "serve", "--socket", self.socket, "--preload", self.module,
                   "--standbys", self.variant.standbys, *options]
        self.server, writing = self.start_process(command, "server.err")
        self.servers.add(self.server)
        os.close(writing)
        end = time.monotonic() + END_LIMIT
        while not (role(self.server) == "server" and self.socket.exists()) and time.monotonic() < end:
            self.reap()
            time.sleep(0.002)

    def start_client(self):
        self.ids += 1
        logs = self.directory / "logs"
        command = [self.build / "tests" / "torture" / "torture-client", "--id", self.ids, "--log",
                   logs / f"{self.ids}.log", "--ran",
                   logs / "ran", "--report", logs / f"{self.ids}.json", "--standbys", self.variant.standbys,
                   "--threads", self.variant.threads, "--shared-memory", f"/{self.directory.name}-{self.ids}"]
        command += ["--server-dies"] * self.variant.server_dies + ["--cores"] * self.variant.cores
        command += ["--sandboxes"] * bool(self.variant.sandboxes)
        command += ["--socket", self.socket] * self.variant.named
        pid, writing = self.start_process([*command, self.module], f"{self.ids}.err", self.ids)
        self.clients[pid] = self.ids, writing

    # ---- meanwhile ----

    def reap(self):
        """Also the orphans: the kernel tells an exit status by pidfd only when somebody has reaped the process."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # else an orphan which got that pid later
            if (pid in self.clients or pid in self.servers) and pid not in self.ended:
                self.ended[pid] = os.waitstatus_to_exitcode(status)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.reap()
            now = time.monotonic()
            for until, who in [entry for entry in self.stopped if entry[0] <= now]:
                self.stopped.remove((until, who))
                who.go()
            if now >= end:
                return
            time.sleep(min(0.005, end - now))

    def eventually(self, condition, limit):
        end = time.monotonic() + limit
        while not (value := condition()) and time.monotonic() < end:
            self.wait(0.005)
        return value

    def let_all_go(self):
        for _, who in self.stopped:
            who.go()
        self.stopped = []

    # ---- acts ----

    def act(self):
        """False if there was nobody to do it to."""
        kills = {**KILLS, **(SERVER_KILLS if self.variant.server_dies else {})}
        kinds = [("kill", whom, n) for whom, n in kills.items()] + [("stop", whom, n) for whom, n in STOPS.items()]
        if self.variant.renews:
            kinds = [("renew", how, n) for how, n in RENEWALS.items()] + [("kill", whom, KILLS[whom] / 5)
                                                                         for whom in ("zygote", "standby")]
        (what, whom, _), = self.random.choices(kinds, [n for *_, n in kinds])
        if what == "renew":
            return self.renew(whom)
        choice, long = self.random.random(), self.random.choice([0.002, 0.02, 0.2, 0.2, 1.0])
        victims = self.find(whom, choice)
        if not victims:
            return False
        when = time.monotonic_ns()
        for victim in victims:
            if what == "kill":
                victim.kill()
            else:
                self.stopped.append((time.monotonic() + long, victim))
        self.acts.append(f"{when} {what} {whom} {[victim.pid for victim in victims]}{f' {long} s' * (what == 'stop')}")
        self.done[f"{what} {whom}"] = self.done.get(f"{what} {whom}", 0) + 1
        if what == "kill":
            self.after_kill(whom, victims, time.monotonic_ns())
        return True

    def renew(self, how):
        """A reload is waited for; the one that is taken over from ends after its last worker, and is not."""
        self.acts.append(f"{time.monotonic_ns()} {how}")
        self.done[f"renew {how}"] = self.done.get(f"renew {how}", 0) + 1
        if how == "takeover":
            old = self.server
            self.start_server("--takeover")
            if not self.eventually(lambda: old in self.ended, END_LIMIT):
                self.broken.append(f"server {old} does not end when another one has taken over")
            elif self.ended[old] != 0:
                self.broken.append(f"a server that was taken over from ended with {self.ended[old]}")
            return True
        command = [self.build / "src" / "forkserver", "reload", "--socket", self.socket, "--timeout", str(END_LIMIT)]
        pid, writing = self.start_process(command, "reload.err")
        os.close(writing)
        self.servers.add(pid)
        if not self.eventually(lambda: pid in self.ended, END_LIMIT + 5):
            self.broken.append("a reload hangs")
        elif self.ended[pid] != 0:
            log = (self.directory / "logs" / "reload.err").read_text()
            if "Killed" not in log and "SIGKILL" not in log:
                self.broken.append(f"a reload failed: {log}")
        return True

    def find(self, whom, choice):
        """The processes that it is done to, stopped; [] if there are none."""
        if whom == "client":
            pids = [pid for pid in self.clients if pid not in self.ended]
            return self.held([pids[int(choice * len(pids))]], None) if pids else []
        all_servers = servers()
        if not all_servers:
            return []
        server = all_servers[int(choice * len(all_servers))]
        self.owner = client_of(server)
        if whom == "server":
            return self.held([server], "server")
        if whom == "standby":
            return self.hold_standbys(server, 1, TRIES)
        # Any of them where there are sandboxes; the oldest is the first.
        zygotes = parts(server, "zygote")[:1 + self.variant.sandboxes]
        held = self.held(zygotes[int(choice * 1000) % len(zygotes):][:1] if zygotes else [], "zygote")
        return held + self.hold_standbys(server, self.variant.standbys, 2) if held and whom == "zygote+" else held

    def hold_standbys(self, server, wanted, tries):
        """Under load none stays one for long: the youngest children are stopped first, and then looked at. So they are
        met at any point on their way, up to where they call themselves workers."""
        found = []
        for _ in range(tries):
            for pid in children(server)[:-3 - wanted:-1]:
                if pid not in [who.pid for who in found] and (who := hold(pid, "standby")):
                    found.append(who)
                if len(found) == wanted:
                    return found
        return found

    def held(self, pids, wanted):
        return [who for pid in pids if (who := hold(pid, wanted))]

    def after_kill(self, whom, victims, when):
        if whom in ("zygote", "zygote+", "server"):
            self.deaths.append((whom, when, self.owner))
        pid = victims[0].pid
        if whom == "client":
            if not self.eventually(lambda: pid in self.ended, END_LIMIT):
                self.broken.append(f"client {pid} does not die")
            os.close(self.clients[pid][1])
            self.clients[pid] = self.clients[pid][0], -1
            self.start_client()
        elif whom == "server" and self.variant.named:
            self.eventually(lambda: pid in self.ended, END_LIMIT)
            self.start_server()

    def torment(self):
        """At random moments, over the time that is given: and on, until it was enough."""
        end, misses = time.monotonic() + self.seconds, 0
        mean = self.seconds / (self.asked * 1.25)
        while time.monotonic() < end or (len(self.acts) < self.asked and misses < MISSES):
            late = len(self.acts) < self.asked * (1 - (end - time.monotonic()) / self.seconds)
            self.wait(self.random.expovariate(1 / mean) * (0.5 if late else 1))
            misses = 0 if self.act() else misses + 1
            self.check_clients()

    def check_clients(self):
        for pid, (number, writing) in self.clients.items():
            if pid in self.ended and writing >= 0:
                self.broken.append(f"client {number} (pid {pid}) ended by itself: {self.ended[pid]}")
                os.close(writing)
                self.clients[pid] = number, -1

    # ---- the end ----

    def finish(self):
        self.let_all_go()
        living = {pid: entry for pid, entry in self.clients.items() if pid not in self.ended}
        for number, writing in living.values():
            os.write(writing, b"\n")
        reports = {pid: self.directory / "logs" / f"{number}.json" for pid, (number, _) in living.items()}
        self.eventually(lambda: all(pid in self.ended or path.exists() for pid, path in reports.items()),
                        2 * REST_LIMIT)
        for pid, path in reports.items():
            if not path.exists():
                self.broken.append(f"client {pid} did not finish: {self.ended.get(pid, 'it hangs')}")
        self.check_rest([path for path in reports.values() if path.exists()])
        for number, writing in living.values():
            os.close(writing)
        if not self.eventually(lambda: all(pid in self.ended for pid in living), REST_LIMIT):
            self.broken.append("clients do not end")
        self.broken += [f"client {pid} ended with {self.ended[pid]}" for pid in living if self.ended.get(pid, 0) != 0]
        if self.variant.named:
            self.end_server()

    def check_rest(self, reports):
        """Every server has its zygotes and their standbys again, no more and no fewer. A sandbox's zygote that was
        killed comes with the next request, and there may be none."""
        wanted = [{"zygote": n, "standby": n * self.variant.standbys} for n in range(1, 2 + self.variant.sandboxes)]
        for path in reports:
            report = json.loads(path.read_text())
            if (report["workers"] and not self.variant.named
                    or report["standbys"] not in [counts["standby"] for counts in wanted]):
                self.broken.append(f"a server is not at rest: {report}")
            # A server whose zygotes are killed at it twice in a row freezes no more, and says so. Random kills may be
            # such a pair.
            excused = report["why_not"].startswith("zygotes were killed while they froze it") or self.sanitized()
            if report["frozen"] < (self.variant.mib - 1) << 20 and not excused:
                self.broken.append(f"the zygote's memory is not frozen: {report}")

        def census(server):
            return {word: sum(role(pid) == word and state(pid) not in "ZX" for pid in children(server))
                    for word in wanted[0]}

        def at_rest():
            return all(census(pid) in wanted for pid in servers())

        if not self.eventually(at_rest, END_LIMIT):
            self.broken += [f"server {pid} is not at rest: {census(pid)}"
                            for pid in servers() if census(pid) not in wanted]
        if not servers():
            self.broken.append("no server is left")

    def sanitized(self):
        """Whether memory is not frozen in builds with it."""
        options = json.loads((self.build / "meson-info" / "intro-buildoptions.json").read_text())
        return any(option["name"] == "b_sanitize" and option["value"] not in ("none", []) for option in options)

    def end_server(self):
        os.kill(self.server, signal.SIGTERM)
        if not self.eventually(lambda: self.server in self.ended, REST_LIMIT):
            self.broken.append("the named server does not end")
        elif self.ended[self.server] != 0:
            self.broken.append(f"the named server ended with {self.ended[self.server]}")

    def find_left(self):
        """Sorted by what it is. Core files are of the processes that were to dump one."""
        processes = [f"{pid} ({letter}) {command_line(pid)}" for pid, letter in wait_for_processes(END_LIMIT).items()]
        kill_all()
        names = [line.split()[-1] for line in open("/proc/net/unix") if str(self.directory) in line]
        files = [str(path) for path in sorted((self.directory / "tmp").rglob("*"))]
        files += [str(path) for path in (self.directory / "cwd").iterdir() if not path.name.startswith("core")]
        return {"orphans": processes, "sockets": names, "files": files,
                "fds": [f"{fd} ({name})" for fd, name in sorted(open_fds() - self.fds)],
                "shared_memory": sorted(name for name in os.listdir("/dev/shm")
                                        if name.startswith(self.directory.name))}

    def run(self):
        try:
            if self.variant.named:
                self.start_server()
            for _ in range(self.variant.clients):
                self.start_client()
            self.wait(min(1, self.seconds / 10))
            self.torment()
            self.finish()
            left = self.find_left()
            return Record(self, left)
        finally:
            kill_all()
            for _, writing in self.clients.values():
                if writing >= 0:
                    try:
                        os.close(writing)
                    except OSError:
                        pass
            shutil.rmtree(self.directory, ignore_errors=True)
            for name in os.listdir("/dev/shm"): # of a run that was broken off, and its trackers with it
                if name.startswith(self.directory.name):
                    os.unlink(f"/dev/shm/{name}")
