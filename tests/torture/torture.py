#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Kills and stops zygotes, standbys, servers and clients under load, and counts what was lost by it.

usage: torture.py [--minutes N] [--acts N] [--seed S] [--only VARIANT,…] [--long N] [--json FILE] [--docs]

It is what ./dev torture runs.

--long N makes N spawns from one server instead, and looks whether it grows. --json (default: torture.json in the build
directory) keeps the figures of both; --docs writes them into doc/reliability.md. Exit code: 1 if a rule is broken.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

import docs  # noqa: E402
import long  # noqa: E402
from field import Field  # noqa: E402
from leftovers import become_reaper  # noqa: E402
from variants import machine, machine_writes_cores, variants  # noqa: E402

ACTS_A_MINUTE = 340
AROUND = 1.5  # seconds of a variant's time in which nothing is done to anybody


def tell(summary):
    recovery = [f"{whom} {d['median']:g}/{d['max']:g} ms" for whom, d in summary["recovery_ms"].items() if d["n"]]
    failures = ", ".join(f"{n} {what}" for what, n in summary["failures"].items())
    print(f"{summary['name']}: {summary['acts']} acts, {summary['spawned']} spawns: right {summary['right']}, "
          f"wrong {summary['wrong']}, lost {summary['lost']}, "
          f"failed {summary['failed']}{f' ({failures})' if failures else ''}; left {sum(summary['left'].values())}; "
          f"next spawn after the death of (median/max): {', '.join(recovery)}", flush=True)


def torment(options, build):
    chosen = [v for v in variants() if not options.only or v.name in options.only.split(",")]
    if not chosen:
        sys.exit(f"torture: no such variant: {options.only}; there are {', '.join(v.name for v in variants())}")
    cores, summaries, minutes = machine_writes_cores(), [], options.minutes / len(chosen)
    acts = options.acts or ACTS_A_MINUTE * options.minutes
    for variant in chosen:
        variant.cores = cores
        field = Field(variant, build, max(1, minutes * 60 - AROUND), max(1, math.ceil(acts / len(chosen))),
                      options.seed)
        record = field.run()
        summaries.append(record.summary())
        tell(summaries[-1])
        if summaries[-1]["broken"]:
            print("\n".join(record.story()), file=sys.stderr)
            print(f"torture: again: ./dev torture --minutes {minutes:g} --acts {field.asked} --seed {options.seed} "
                  f"--only {variant.name}", file=sys.stderr, flush=True)
    broken = [f"{summary['name']}: {text}" for summary in summaries for text in summary["broken"]]
    done, spawned = (sum(summary[key] for summary in summaries) for key in ("acts", "spawned"))
    print(f"torture: {done} acts, {spawned} spawns")
    return {"seed": options.seed, "minutes": options.minutes, "variants": summaries, "broken": broken}


def keep(path, part, result):
    """The file has the last of each part."""
    figures = json.loads(path.read_text()) if path.exists() else {}
    figures[part] = {"machine": machine(), "date": datetime.date.today().isoformat(), **result}
    path.write_text(json.dumps(figures, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.strip().splitlines()[2].removeprefix("usage: "))
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--acts", type=int, metavar="N")
    parser.add_argument("--seed", default=os.urandom(4).hex())
    parser.add_argument("--only", metavar="VARIANT,…", default="")
    parser.add_argument("--long", type=int, metavar="N")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    build = ROOT / os.environ.get("FORKSERVER_BUILD", "build")
    figures = options.json or build / "torture.json"
    become_reaper()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    what = f"{options.long} spawns" if options.long else f"seed {options.seed}, {options.minutes:g} minutes"
    print(f"torture: {what}, {machine()}", flush=True)
    result = long.run(build, options.long) if options.long else torment(options, build)
    keep(figures, "long" if options.long else "torture", result)
    if options.docs:
        docs.write(json.loads(figures.read_text()), ROOT)
    broken = result["broken"]
    print(f"torture: {len(broken)} rules broken{': ' if broken else ''}{'; '.join(broken)}; figures: {figures}")
    return 1 if result["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
