#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the bench's figures between the markers of documents: figures.py JSON DOCUMENT… (./dev bench --readme does it). The marker
"figures NAME" takes the cases whose names begin with NAME."""
import json
import re
import sys

MARKED = re.compile(r"(<!-- figures ?(\S*) -->\n).*?(<!-- end of figures -->)", re.S)


def table(data, prefix):
    yield "| case | ours | peer | ratio | bar |"
    yield "|---|---|---|---|---|"
    for case in data["cases"]:
        if not case["name"].startswith(prefix):
            continue
        unit, sign = case["unit"], "≥" if case.get("higher_is_better") else "≤"
        peers = f"{case['peer_name']}: {case['peer']:.0f} {unit}"
        if "second_peer" in case:
            peers += f"; {case['second_peer_name']}: {case['second_peer']:.0f}"
        met = "met" if case["met"] else "**not met**"
        yield (f"| {case['name']}: {case['what']} | {case['ours']:.0f} {unit} | {peers} | {case['ratio']:.2f} × | "
               f"{sign} {case['bar']:g} × ({met}) |")
    yield ""
    for case in data["cases"]:
        if case["name"].startswith(prefix):
            yield f"- {case['name']}: {case['note']}"
    yield ""
    yield f"{data['date']}, {data['machine']}, `./dev bench`: by turns in one run, medians. Time of one spawn and exit, unless said otherwise."


def main():
    source, *documents = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        data = json.load(file)
    for document in documents:
        with open(document, encoding="utf-8") as file:
            text = file.read()
        text = MARKED.sub(lambda found: found[1] + "\n".join(table(data, found[2])) + "\n" + found[3], text)
        with open(document, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
