# SPDX-License-Identifier: MIT
"""What the clients of one variant have written down, counted."""

import bisect
import collections
import statistics


class Record:
    def __init__(self, field, left):
        self.field, self.left = field, left
        self.spawns = {}     # client's number -> [(asked, started)]
        self.counts = collections.Counter()
        self.faults = []     # (when, text)
        self.tolerated = {"failed": field.variant.server_dies, "lost": field.variant.may_lose}
        self.ran = collections.Counter()
        self.failures = collections.Counter() # by stage and errno
        logs = field.directory / "logs"
        for line in (logs / "ran").read_text().splitlines():
            self.ran[line] += 1
        for pid, (number, _) in field.clients.items():
            self.read(number, logs / f"{number}.log", killed=field.ended.get(pid) == -9)
        self.errors = [path.read_text(errors="replace").strip() for path in sorted(logs.glob("*.err"))]

    def fault(self, kind, when, text):
        self.counts[kind] += 1
        if not self.tolerated.get(kind):
            self.faults.append((when, f"{kind}: {text}"))

    def read(self, number, path, killed):
        waiting, times, many = {}, [], {}
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines():
            what, item, *words = line.split(" ", 5)
            label = f"{number} {item}"
            if what == "S":
                waiting[item] = words
                times.append((int(words[0]), int(words[1])))
                many[label] = int(words[3].split()[1])
                self.counts["spawned"] += many[label]
            elif what == "F":
                self.failures[f"{words[2]} {words[3].split()[0]}"] += 1
                self.fault("failed", int(words[1]), f"spawn of item {label}: {' '.join(words[2:])}")
                if self.ran[label] > many.get(label, 0):
                    self.fault("ghosts", int(words[1]), f"item {label} ran, and its spawn failed")
            elif what == "E":
                self.end(label, waiting.pop(item), words, many[label])
        self.spawns[number] = sorted(times)
        # Of the last ones of a client that was killed the log may not tell.
        for label, n in many.items():
            if self.ran[label] > n:
                self.fault("twice", 0, f"item {label} ran {self.ran[label]} times instead of {n}")
        if not killed:
            for item in waiting:
                self.fault("late", 0, f"item {number} {item}: nobody waited for it")

    def end(self, label, started, words, many):
        outcome, when, kind = words[1], int(words[0]), started[3].split()[0]
        text = f"item {label} ({kind}), process {started[2]}: {' '.join(words[2:])}"
        if outcome == "right":
            self.counts["right"] += many
            if kind not in ("killed", "limited") and self.ran[label] < many:
                self.fault("never_ran", when, f"{text} has a status, and ran {self.ran[label]} times instead of {many}")
        else:
            self.fault(outcome, when, text)

    # ---- how long nobody could spawn ----

    def recoveries(self, whom):
        """ms from each such death to the end of the next good spawn that was asked for after it."""
        found = []
        for kind, when, owner in self.field.deaths:
            numbers = [owner] if owner else self.spawns
            ends = [end for number in numbers if (end := self.next_spawn(number, when))]
            if kind == whom and ends:
                found.append((min(ends) - when) / 1e6)
        return found

    def next_spawn(self, number, when):
        times = self.spawns.get(number, [])
        # Of some that were asked for at once another than the first may be served first.
        at = bisect.bisect_left(times, (when, 0))
        return min((started for _, started in times[at:at + 64]), default=None)

    # ---- the rules ----

    def rules(self):
        """Each a name and a number that has to be zero."""
        c = self.counts
        yield "statuses wrong", c["wrong"] + c["late"]
        yield "processes that ran twice", c["twice"]
        yield "failed spawns that ran", c["ghosts"]
        yield "statuses of what never ran", c["never_ran"]
        if not self.tolerated["lost"]:
            yield "statuses lost", c["lost"]
        if not self.tolerated["failed"]:
            yield "spawns failed", c["failed"]
        for name, found in self.left.items():
            yield f"{name.replace('_', ' ')} left", len(found)
        yield "acts fewer than asked for", max(0, self.field.asked - len(self.field.acts))
        yield "spawns fewer than acts", max(0, len(self.field.acts) - c["spawned"])

    def broken(self):
        return [f"{name}: {found}" for name, found in self.rules() if found]

    def summary(self):
        field, c = self.field, self.counts
        return {
            "name": field.variant.name, "what": field.variant.what, "server_dies": field.variant.server_dies,
            "acts": len(field.acts), "acts_asked": field.asked, "done": dict(sorted(field.done.items())),
            "clients": field.ids, "spawned": c["spawned"], "right": c["right"], "wrong": c["wrong"] + c["late"],
            "lost": c["lost"],
            "failed": c["failed"], "failures": dict(self.failures.most_common(5)),
            "ran_twice": c["twice"], "ghosts": c["ghosts"], "never_ran": c["never_ran"],
            "left": {name: len(found) for name, found in self.left.items()},
            "recovery_ms": {whom: spread(self.recoveries(whom)) for whom in ("zygote", "zygote+", "server")},
            "rules": dict(self.rules()), "broken": self.broken() + self.field.broken,
        }

    def story(self):
        """What one needs to see of a run that broke a rule."""
        yield from (f"broken: {text}" for text in self.summary()["broken"])
        yield from (f"  left: {text}" for found in self.left.values() for text in found[:20])
        faults = sorted(self.faults)[:20]
        yield from (f"  {when} {text}" for when, text in faults)
        if first := next((when for when, _ in faults if when), 0):
            yield from (f"  before it: {act}"
                        for act in [act for act in self.field.acts if int(act.split()[0]) <= first][-8:])
        yield from (f"  said: {line}" for text in self.errors for line in text.splitlines()[-5:])


def spread(values):
    return {"n": len(values), "median": round(statistics.median(values), 2),
            "max": round(max(values), 2)} if values else {"n": 0}
