# SPDX-License-Identifier: MIT
"""What a sandbox costs: beside no sandbox, and beside programs that lock another one in. For bench.py."""

import os
import shutil

from subject import result

SANDBOXES = 20
JAILS = ("bwrap", "minijail0", "firejail")


def locked_zygote(bench):
    """pure-compute has one filter more, which each standby gets: the zygote has to fork. A network namespace is the
    zygote's."""
    sides = [bench.loops(*words) for words in (("sandbox", "untrusted"), ("sandbox", "pure-compute"),
                                               ("sandbox", "network"), ())]
    a, b, c, d = bench.by_turns([(side, "noop 1") for side in sides], 20, 100 if bench.quick else 250)
    peers = [("ours without a sandbox", d)]
    return [result("sandbox", "no-op entry point under `untrusted`", a, peers, "us", 1.15, note=bench.note(*sides)),
            result("sandbox-pure", "the same under `pure-compute`", b, peers, "us", None),
            result("sandbox-net", "the same under `untrusted`, in a network namespace", c,
                   [("ours under `untrusted`", a)], "us", 1.1)]


def own_lock(bench):
    """What a worker does itself, each time."""
    options = ("user", 65534) if os.geteuid() == 0 else ()
    ours, plain = bench.loops(*options, module="gives"), bench.loops(module="gives")
    a, b = bench.by_turns([(ours, "locked 1"), (plain, "noop 1")], 20, 100 if bench.quick else 250)
    what = "ids and a ruleset of the worker's own" if options else "a ruleset of the worker's own"
    return result("sandbox-own", f"no-op entry point with {what}", a, [("ours without", b)], "us", 1.6,
                  note=bench.note(ours, plain))


def programs(bench):
    """The best known of the jails that are there is what the bar is against: bwrap."""
    jails = [jail for jail in JAILS if shutil.which(jail)]
    if not jails:
        return {"name": "sandbox-program", "met": None, "skipped": "there is no bwrap (Debian package bubblewrap)"}
    sides = [(bench.loops("sandbox", "untrusted"), "run:exec 1"), (bench.loops(), "run:exec 1"),
             *((bench.loops(), f"jail:{jail} 1") for jail in jails)]
    a, plain, *times = bench.by_turns(sides, 6 if bench.quick else 15, 10 if bench.quick else 20)
    return result("sandbox-program", "/bin/true under `untrusted`", a,
                  [*zip(jails, times), ("ours without a sandbox", plain)], "us", 4, higher_is_better=True,
                  note=bench.note(sides[0][0], sides[2][0]))


def private_memory(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))


def children(server, role):
    """Their pids, the oldest first."""
    with open(f"/proc/{server}/task/{server}/children") as file:
        pids = list(map(int, file.read().split()))
    for pid in pids:
        with open(f"/proc/{pid}/cmdline") as file:
            if file.read().startswith(f"forkserver: {role}"):
                yield pid


def memory(bench):
    """What is shared with the first zygote isn't private; so this is what each adds."""
    subject = bench.loops(preload=64)
    subject.ask("noop 1 10")
    subject.ask(f"sandboxes {SANDBOXES}")
    server, first, *_ = map(int, subject.ask("pids"))
    each = [private_memory(pid) for pid in children(server, "zygote") if pid != first]
    standbys = sum(private_memory(pid) for pid in children(server, "standby"))
    subject.close()
    case = result("sandbox-memory", f"private dirty memory of a sandbox's zygote, the most of {len(each)}", max(each),
                  [], "KiB", None, note=f"64 MiB preloaded; all standbys have {standbys} KiB")
    return case | {"bar": 300, "met": max(each) <= 300 and len(each) >= SANDBOXES}


def measure_all(bench):
    return [*locked_zygote(bench), own_lock(bench), programs(bench), memory(bench)]
