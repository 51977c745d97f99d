#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the README's figures from the bench's JSON: figures.py JSON README (./dev bench does it with --readme)."""
import json
import sys

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def table(data):
    yield "| case | ours | peer | ratio | bar |"
    yield "|---|---|---|---|---|"
    for case in data["cases"]:
        unit = case["unit"]
        met = "met" if case["met"] else "not met"
        yield (f"| {case['name']}: {case['what']} | {case['ours']:g} {unit} | {case['peer_name']}: {case['peer']:g} {unit} | "
               f"{case['ratio']:.2f} × | ≤ {case['bar']:g} × ({met}) |")
    yield ""
    yield f"{data['date']}, {data['machine']}, `./dev bench`: by turns in one run, medians; {data['cases'][0]['note']}."


def main():
    source, readme = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        data = json.load(file)
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(readme, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n" + "\n".join(table(data)) + "\n" + END + after)


if __name__ == "__main__":
    main()
