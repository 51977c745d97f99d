#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Kills and stops zygotes, standbys, servers and clients under load, and counts what was lost by it.

usage: torture.py [--minutes N] [--seed S] [--only VARIANT,…] [--json FILE] [--docs] [--long N]      (./dev torture)
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import resource
import signal
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from field import Field  # noqa: E402
from leftovers import become_reaper  # noqa: E402

ACTS_A_MINUTE = 340
KERNEL_TELLS = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in platform.release().split(".")[:2]) >= (6, 15)


@dataclasses.dataclass
class Variant:
    name: str
    what: str
    deny: tuple = ()
    mib: int = 1            # preloaded
    clients: int = 3
    threads: int = 8
    named: bool = False     # one server at a socket; else each client has its own
    server_dies: bool = False
    may_lose: bool = False  # statuses: where the kernel cannot tell
    cores: bool = False     # whether this machine writes core files


def variants():
    lose = not KERNEL_TELLS
    return [
        Variant("private", "private servers; zygotes, standbys and clients are killed"),
        Variant("frozen", "the same, with 64 MiB of frozen memory in each zygote", mib=64),
        Variant("twice", "the same, where the zygote has to fork twice (an older kernel)", deny=("sud", "close_range")),
        Variant("named", "one server at a socket for all clients", named=True),
        Variant("server", "private servers, which are killed as well", server_dies=True, may_lose=lose),
        Variant("server-twice", "the same, forking twice, with frozen memory", deny=("sud",), mib=64, server_dies=True, may_lose=lose),
        Variant("server-named", "the server at a socket is killed as well, and started again", named=True, server_dies=True, may_lose=lose),
        Variant("server-untold", "killed servers on a kernel that does not tell a foreign process's end", deny=("pidfd_info",),
                server_dies=True, may_lose=True),
    ]


def machine_writes_cores():
    """Whether the kernel says "core dumped" of who is killed by SIGABRT, as in the module tortured."""
    with tempfile.TemporaryDirectory(prefix="forkserver-torture-") as folder:
        pid = os.fork()
        if pid == 0:
            os.chdir(folder)
            _, hard = resource.getrlimit(resource.RLIMIT_CORE)
            resource.setrlimit(resource.RLIMIT_CORE, (1 << 16 if hard == resource.RLIM_INFINITY else min(1 << 16, hard), hard))
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            os.abort()
        return os.WCOREDUMP(os.waitpid(pid, 0)[1])


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} CPUs {model}, Linux {platform.release()}"


def tell(summary):
    recovery = [f"{whom} {d['median']:g}/{d['max']:g} ms" for whom, d in summary["recovery_ms"].items() if d["n"]]
    print(f"{summary['name']}: {summary['acts']} acts, {summary['spawned']} spawns: right {summary['right']}, wrong {summary['wrong']}, "
          f"lost {summary['lost']}, failed {summary['failed']}; left {sum(summary['left'].values())}; next spawn after the death of "
          f"(median/max): {', '.join(recovery)}", flush=True)


def run(options, build):
    chosen = [v for v in variants() if not options.only or v.name in options.only.split(",")]
    if not chosen:
        sys.exit(f"torture: no such variant: {options.only}; there are {', '.join(v.name for v in variants())}")
    cores, summaries = machine_writes_cores(), []
    seconds = options.minutes * 60 / len(chosen)
    acts = max(1, round(ACTS_A_MINUTE * options.minutes / len(chosen)))
    for variant in chosen:
        variant.cores = bool(cores)
        record = Field(variant, build, seconds, acts, options.seed, sys.stderr).run()
        summaries.append(record.summary())
        tell(summaries[-1])
        if record.broken():
            print("\n".join(record.story()), file=sys.stderr)
            print(f"torture: again: ./dev torture --minutes {options.minutes / len(chosen):g} --seed {options.seed} --only {variant.name}",
                  file=sys.stderr, flush=True)
    return summaries


def main():
    parser = argparse.ArgumentParser(usage=__doc__.strip().splitlines()[2].removeprefix("usage: "))
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--only", metavar="VARIANT,…", default="")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    options.seed = options.seed or os.urandom(4).hex()
    build = ROOT / os.environ.get("FORKSERVER_BUILD", "build")
    become_reaper()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"torture: seed {options.seed}, {options.minutes:g} minutes, {machine()}", flush=True)
    summaries = run(options, build)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "date": datetime.date.today().isoformat(), "seed": options.seed,
                       "minutes": options.minutes, "variants": summaries}, file, indent=1)
    broken = [f"{summary['name']}: {text}" for summary in summaries for text in summary["broken"]]
    print(f"torture: {sum(summary['acts'] for summary in summaries)} acts, {sum(summary['spawned'] for summary in summaries)} spawns, "
          f"{len(broken)} rules broken{': ' if broken else ''}{'; '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
