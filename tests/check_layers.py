#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the code to the table of layers in doc/architecture.md: which folder may include which.

An include counts by the file that it resolves to, not by its spelling: the including file's own folder first (for "…"),
then include/ and src/, symbolic links followed. What resolves to nothing in the tree is the system's, and free.
Comments and spliced lines are read as the compiler does; a name that a macro makes cannot be checked, and is not
allowed. Files of src/ that use each other in a circle are found, too (circles.py), and names that don't say whose they
are (names.py).

usage: check_layers.py [ROOT]
"""
import os
import re
import sys

import circles
import names

JOINT = "\x01"  # where a directive went on in the next line
INCLUDE = re.compile(r"^[ \t\x01]*(?:#|%:)[ \t\x01]*(?:include_next|include|import)\b[ \t\x01]*(.*)$", re.MULTILINE)
NAME = re.compile(r'(["<])([^">]+)[">]')
SOURCES = (".c", ".h", ".cpp", ".hpp", ".inc")
LAYERS = ("base", "wire", "client", "server", "tracker", "zygote", "worker", "cli")
OUTSIDE = ("python", "examples", "bench", "tests")


def read_table(path):
    """{folder: set of folders it may include}, from the rows of the table whose first column is 'code in'."""
    table, inside = {}, False
    with open(path, encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not line.startswith("|"):
                inside = False
            elif cells[0] == "code in":
                inside = True
            elif inside and len(cells) == 2 and not cells[0].startswith("-"):
                add_row(table, *cells)
    if not table:
        sys.exit(f"{path}: there is no table of layers in it")
    return table


def add_row(table, where, may):
    known = set(LAYERS)
    for name in re.split(r",\s*", where):
        name = "tests" if name == "integration tests" else name
        if name not in known and name not in OUTSIDE:
            continue  # "any of src/", "unit tests": said below
        allowed = {word for word in re.split(r",\s*", may) if word in known}
        table[name] = allowed | {name}


def layer_of(root, path):
    """The row that a file falls under; None: nothing of ours to check."""
    parts = os.path.relpath(path, root).split(os.sep)
    if parts[0] == "src":
        return parts[1] if len(parts) > 2 else "src"
    if parts[0] == "include":
        return "public"
    if parts[0] == "tests" and parts[1] == "unit" or parts[0] == "fuzz":
        return None
    return parts[0] if parts[0] in OUTSIDE else None


def resolve(root, path, quote, name):
    folders = [os.path.join(root, "include"), os.path.join(root, "src")]
    if quote == '"':
        folders.insert(0, os.path.dirname(path))
    for folder in folders:
        candidate = os.path.realpath(os.path.join(folder, name))
        if os.path.isfile(candidate):
            return candidate
    return None


def violations(root, table):
    root = os.path.realpath(root)
    for top in ("src", "include", *OUTSIDE):
        for folder, _, entries in os.walk(os.path.join(root, top)):
            for name in sorted(entries):
                if name.endswith(SOURCES):
                    yield from check_file(root, table, os.path.join(folder, name))


def includes(path):
    """(line, name with its quotes or what stands there instead) of each include."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read().replace("\\\n", JOINT)

    def without_comment(match):
        return " " + JOINT * len(re.findall(r"[\n\x01]", match[0])) if match[0].startswith("/") else match[0]

    text = circles.TOKEN.sub(without_comment, text)
    for match in INCLUDE.finditer(text):
        yield len(re.findall(r"[\n\x01]", text[:match.start()])) + 1, match[1].replace(JOINT, "").strip()


def check_file(root, table, path):
    layer = layer_of(root, path)
    if layer is None:
        return
    allowed = {"public"} if layer == "public" else table.get(layer, set()) | {"public"}
    for number, text in includes(path):
        place, name = f"{os.path.relpath(path, root)}:{number}", NAME.match(text)
        if not name:
            yield f"{place}: an include has to be written out, not '{text}'"
            continue
        target = resolve(root, path, *name.groups())
        if target and target.startswith(root + os.sep) and layer_of(root, target) not in allowed:
            yield f"{place}: {layer} may not include {os.path.relpath(target, root)}"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    table = read_table(os.path.join(root, "doc", "architecture.md"))
    found = [*violations(root, table), *circles.findings(root), *names.findings(root)]
    good = "layers: every include is within the table, no files are in a circle, and names say whose they are."
    print("\n".join(found) or good)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
