#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a reader stumbles over in C: a `?:` inside another, and a comment that calls a process "who".

usage: sentences.py [FOLDER…]      FOLDER: of src/; all, if none is given
"""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

PARTS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
WHO = re.compile(r"\bwho(?:m|ever|mever)?\b", re.IGNORECASE)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def nested_conditions(text):
    """Lines with a `?` in a branch of another; text has neither comments nor strings."""
    levels = [False]  # for each open parenthesis: whether a branch has begun
    for at, character in enumerate(text):
        if character in "([{":
            levels.append(False)
        elif character in ")]}":
            if len(levels) > 1:
                levels.pop()
            if character == "}":
                levels[-1] = False
        elif character in ",;":
            levels[-1] = False
        elif character == "?":
            if any(levels):
                yield line_of(text, at)
            levels[-1] = True


def findings(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for match in PARTS.finditer(text):
        who = WHO.search(match.group(0)) if match.group(0).startswith("/") else None
        if who:
            yield line_of(text, match.start() + who.start()), f"a process is \"it\", never \"{who.group(0)}\""
    for line in nested_conditions(PARTS.sub(blank, text)):
        yield line, "a ?: lies in another one"


def main():
    found = False
    for folder in sys.argv[1:] or sorted(os.listdir(os.path.join(ROOT, "src"))):
        for path in sorted(glob.glob(os.path.join(ROOT, "src", folder, "*.[ch]"))):
            for line, what in sorted(findings(path)):
                print(f"{os.path.relpath(path, ROOT)}:{line}: {what}")
                found = True
    if not found:
        print("sentences: no process is \"who\", and no ?: lies in another one.")
    sys.exit(found)


if __name__ == "__main__":
    main()
