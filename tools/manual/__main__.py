#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the man pages' sources in doc/man and the completions in completions/: what lies between their markers comes
from the help of each command, from the public headers, and from the glossary of doc/architecture.md.

usage: tools/manual [--check] [FORKSERVER]

FORKSERVER is the command as it was built (default: build/src/forkserver). A page that is missing is made.
--check: writes nothing, and fails when something is not current.
"""
import os
import sys

from manuals import collect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main(words):
    check = words[:1] == ["--check"]
    words = words[check:]
    if len(words) > 1 or any(word.startswith("-") for word in words):
        sys.exit(__doc__.strip().split("\n\n")[1])
    try:
        wanted = collect(ROOT, words[0] if words else os.path.join(ROOT, "build/src/forkserver"))
    except (OSError, ValueError) as error:
        sys.exit(f"manual: {error}")
    stale = [path for path, text in wanted.items() if read(os.path.join(ROOT, path)) != text]
    if check and stale:
        sys.exit(f"manual: not as the helps and headers have it: {', '.join(stale)}. `./dev manual` mends it.")
    for path in stale:
        with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
            file.write(wanted[path])
        print(f"manual: {path} is written anew.")
    if not stale:
        print("manual: the pages and completions are as the helps and headers have it.")


if __name__ == "__main__":
    main(sys.argv[1:])
