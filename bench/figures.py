#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Writes the bench's figures into the documents: figures.py JSON ROOT (./dev bench --docs does it).

README.md and doc/python.md have them between markers ("figures NAME…": the cases whose names begin so; "short figures
NAME…": the cases of these names, beside the first of their peers that isn't ours as well);
doc/performance.md is made whole, of bench/performance.head.md, the tables, the plots, and bench/performance.tail.md.
"""

import json
import os
import re
import subprocess
import sys

from plots import plot

MARKED = re.compile(r"(<!-- (short )?figures ?([^>]*?) ?-->\n).*?(<!-- end of figures -->)", re.S)
GROUPS = [
    ("A spawn", ("roundtrip", "call", "throughput", "afl", "live", "client")),
    ("Preloaded memory", ("preload",)),
    ("Sandboxes", ("sandbox",)),
    ("Python", ("python",)),
    ("Memory of a process", ("memory",)),
    ("`forkserver map`", ("map",)),
    ("How many standbys", ("standbys",)),
]


def number(value):
    return f"{value:,.0f}"


def row(case):
    if case.get("skipped"):
        return f"| {case['name']} | | | | skipped: {case['skipped']} |"
    all_peers = [[case["peer_name"], case["peer"]], *case["more_peers"]]
    peers = "; ".join(f"{name}: {number(value)}" for name, value in all_peers if value)
    ratio = "" if case["ratio"] is None else f"{case['ratio']:.2f} ×"
    bar = ""
    if case["bar"] is not None:
        times = "" if case["ratio"] is None else " ×"
        sign, met = "≥" if case["higher_is_better"] else "≤", "met" if case["met"] else "**not met**"
        bar = f"{sign} {case['bar']:g}{times}: {met}"
    return f"| {case['name']}: {case['what']} | {number(case['ours'])} {case['unit']} | {peers} | {ratio} | {bar} |"


def table(data, prefixes):
    yield "| case | ours | peers | ratio | bar |"
    yield "|---|---|---|---|---|"
    for case in data["cases"]:
        if case["name"].startswith(prefixes):
            yield row(case)


def time_of(value, unit):
    """In the unit that a reader compares by."""
    if unit == "us" and value >= 1000:
        value, unit = value / 1000, "ms"
    return f"{value:.1f} {unit}" if value < 10 else f"{number(value)} {unit}"


def short_table(data, names):
    yield "| | Forkserver | otherwise |"
    yield "|---|---|---|"
    for case in (case for name in names for case in data["cases"] if case["name"] == name):
        peers = [[case["peer_name"], case["peer"]], *case["more_peers"]]
        name, value = next(peer for peer in peers if not peer[0].startswith("ours"))
        yield f"| {case['what']} | {time_of(case['ours'], case['unit'])} | {time_of(value, case['unit'])}: {name} |"


def origin(data):
    return (f"{data['date']}, {data['machine']}, `./dev bench{' --quick' if data['quick'] else ''}`: "
            "by turns in one run, medians;\nthe time of one spawn and its exit, unless said otherwise.")


def notes(data, prefixes):
    for case in data["cases"]:
        if case["name"].startswith(prefixes) and case.get("note"):
            yield f"- {case['name']}: {case['note']}"


def write_marked(data, path):
    with open(path, encoding="utf-8") as file:
        text = file.read()

    def figures(found):
        names = tuple(found[3].split())
        rows = short_table(data, names) if found[2] else table(data, names or ("",))
        return found[1] + "\n".join([*rows, "", origin(data)]) + "\n" + found[4]

    text = MARKED.sub(figures, text)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


# ---- plots ----


def bars(path, data):
    cases = [case for case in data["cases"] if case["name"].startswith("python") and case["unit"] == "us"]
    script = [f"set terminal svg size 720,420 font 'sans-serif,13' background 'white'; set output '{path}'",
              "set title 'Python 3.11: time of one process'; set ylabel 'ms'",
              "set style data histogram; set style fill solid 0.8",
              "set key left top; set grid y; set yrange [0:*]",
              "plot '-' using 2:xtic(1) title 'ours', '-' using 2 title 'stock fork server', '-' using 2 title 'fork'"]
    for pick in (lambda case: case["ours"], lambda case: case["peer"], lambda case: case["more_peers"][0][1]):
        script += [f"\"{case['name'].removeprefix('python-')}\" {pick(case) / 1000}" for case in cases] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def draw(data, directory):
    os.makedirs(directory, exist_ok=True)
    plot(os.path.join(directory, "preload.svg"), data["plots"]["preload"], "a child that touches nothing",
         "MiB preloaded", "us")
    plot(os.path.join(directory, "live.svg"), {"ours": data["plots"]["live"]}, "with idle workers", "workers alive",
         "us", "x")
    bars(os.path.join(directory, "python.svg"), data)


def write_performance(data, root):
    parts = []
    with open(os.path.join(root, "bench", "performance.head.md"), encoding="utf-8") as file:
        parts.append(file.read())
    parts.append(origin(data) + "\n")
    for title, prefixes in GROUPS:
        rows, said = "\n".join(table(data, prefixes)), "\n".join(notes(data, prefixes))
        parts.append(f"## {title}\n\n{rows}\n\n{said}\n")
        if "preload" in prefixes:
            parts.append("![latency against preloaded memory](performance/preload.svg)\n")
        if "live" in prefixes:
            parts.append("![latency against live workers](performance/live.svg)\n")
        if "python" in prefixes:
            parts.append("![Python](performance/python.svg)\n")
    with open(os.path.join(root, "bench", "performance.tail.md"), encoding="utf-8") as file:
        parts.append(file.read())
    with open(os.path.join(root, "doc", "performance.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(parts))


def main():
    source, root = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        data = json.load(file)
    for document in ("README.md", os.path.join("doc", "python.md")):
        write_marked(data, os.path.join(root, document))
    draw(data, os.path.join(root, "doc", "performance"))
    write_performance(data, root)


if __name__ == "__main__":
    main()
