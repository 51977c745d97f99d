# SPDX-License-Identifier: MIT
"""Writes doc/reliability.md of reliability.head.md, which is written by hand, and the last figures."""

import pathlib

from long import each

HEAD = pathlib.Path(__file__).with_name("reliability.head.md")
NAMED, UNTOLD, RENEWED = "server-named", "server-untold", "renewed"


def number(value):
    return f"{value:,}"


def total(variants, key):
    return sum(variant[key] for variant in variants)


def count(variants, act):
    return sum(variant["done"].get(act, 0) for variant in variants)


def outcome(variants):
    names = {"wrong": "statuses wrong", "lost": "lost", "failed": "spawns failed"}
    return ", ".join(f"{number(total(variants, key))} {name}" for key, name in names.items())


def recovery(variants, whom):
    found = [variant["recovery_ms"][whom] for variant in variants if variant["recovery_ms"][whom]["n"]]
    medians = sorted(spread["median"] for spread in found)
    if not found:
        return ""
    middle = f"{medians[0]:g} ms (median"
    if len(medians) > 1:
        middle = f"{medians[0]:g} to {medians[-1]:g} ms (medians of the variants"
    return f"; next spawn after {middle}; at most {max(spread['max'] for spread in found):,g})"


def cells(variants):
    """What is lost by a part's death shows where servers live; a server's death where they don't."""
    quiet = [variant for variant in variants if not variant["server_dies"]]
    deadly = {variant["name"]: [variant] for variant in variants if variant["server_dies"]}
    told = [variant for name, (variant,) in deadly.items() if name not in (NAMED, UNTOLD)]
    for whom in ("zygote", "zygote+", "standby", "client"):
        after = recovery(quiet, whom) if whom.startswith("zygote") else ""
        yield whom, f"{count(quiet, f'kill {whom}')} killed: {outcome(quiet)}{after}"
    for whom, some in (("server", told), (UNTOLD, deadly.get(UNTOLD, [])), (NAMED, deadly.get(NAMED, []))):
        yield whom, f"{count(some, 'kill server')} killed: {outcome(some)}{recovery(some, 'server')}"
    for how in ("reload", "takeover"):
        yield how, f"{count(quiet, f'renew {how}')} times: {outcome([v for v in quiet if v['name'] == RENEWED])}"
    for whom in ("zygote", "standby", "server", "client"):
        yield f"stop {whom}", f"{count(quiet, f'stop {whom}')} stopped: {outcome(quiet)}"


def table(variants):
    yield "| variant | killed and stopped | spawned | wrong | lost | failed | ran twice, or not as told | left behind |"
    yield "|---|---|---|---|---|---|---|---|"
    for v in variants:
        odd = v["ran_twice"] + v["ghosts"] + v["never_ran"]
        yield (f"| {v['name']}: {v['what']} | {v['acts']} | {number(v['spawned'])} | {v['wrong']} | {v['lost']} | "
               f"{number(v['failed'])} | {odd} | {sum(v['left'].values())} |")


def write_torture(torture):
    acts, spawned = total(torture["variants"], "acts"), total(torture["variants"], "spawned")
    yield "## The last run\n"
    command = f"./dev torture --minutes {torture['minutes']:g} --seed {torture['seed']}"
    yield (f"{torture['date']}, {torture['machine']}, `{command}`: {number(acts)} kills and stops, "
           f"{number(spawned)} spawns. Spawns may fail only where a server is killed and another program has to start "
           "the next one. Statuses may be lost only where the kernel does not tell them.\n")
    yield from table(torture["variants"])
    yield ("\nThe next good spawn after a death is one that was asked for after it. Its time is measured under the "
           "whole load, with other parts killed and stopped meanwhile.\n")


def sizes(data, who):
    return f"| {who} | {each(data, who, 'kib')} | {each(data, who, 'fds')} |"


def write_long(data):
    yield "## Many spawns\n"
    early, late, fresh = data["early"], data["late"], data["fresh"]
    yield (f"{data['date']}, {data['machine']}, `./dev torture --long {data['spawns']}`: {number(data['spawns'])} "
           f"spawns in {data['seconds']:g} s; {data['wrong'] + data['lost'] + data['failed']} statuses wrong or lost, "
           f"or spawns failed; {data['end']['children'] - data['start']['children']} zombies. A spawn and its status "
           f"took {early['median_us']:g} us at the start and {late['median_us']:g} us at the end, by turns with a "
           f"new server's {fresh['median_us']:g} us (medians of 1,000; {early['p99_us']:g}, {late['p99_us']:g} and "
           f"{fresh['p99_us']:g} us for all but the slowest 1 %).\n")
    yield "| process | resident KiB at the start, in the middle, at the end | fds |"
    yield "|---|---|---|"
    yield sizes(data, "server")
    yield sizes(data, "zygote")


def write(figures, root):
    variants = figures.get("torture", {}).get("variants", [])
    text = HEAD.read_text(encoding="utf-8").format_map(dict(cells(variants)))
    parts = [text.rstrip("\n"), ""]
    if variants:
        parts += write_torture(figures["torture"])
    if "long" in figures:
        parts += write_long(figures["long"])
    (root / "doc" / "reliability.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
