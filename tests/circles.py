# SPDX-License-Identifier: MIT
"""Circles among the files of src/: each file uses what the next one defines, and the last one what the first does.

A file uses another one if it names a function or a variable of it that a header declares. What a header itself defines,
macros and inline functions, counts as written out where it is used. All this is read from the text, which clang-format
has made uniform: what a file defines begins in the first column.
"""
import os
import re

TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
BESIDE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)[ \n]*|^[ \t]*#.*\n?", re.MULTILINE)
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(.*)$", re.MULTILINE)
ITEM = re.compile(r"^(?=[A-Za-z_])(?!\w+:)", re.MULTILINE)
NAME = re.compile(r"(?<![\w.])(?<!->)(?<!struct )(?<!union )(?<!enum )[A-Za-z_]\w*")
BRACES = re.compile(r"\{[^{}]*\}")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return TOKEN.sub(" ", file.read().replace("\\\n", " "))


def items(text):
    """What stands in the first column, each with all that belongs to it, without directives and attributes."""
    return ITEM.split(BESIDE.sub("", text))


def identifiers(text):
    """Those that may be a function or a variable: no members and no tags."""
    return set(NAME.findall(text))


def names_of(item):
    """What an item of the first column defines: names, and whether it is a function."""
    head = re.match(r"[^{;=]*", item)[0]
    if head.startswith(("typedef ", "extern ")):
        return [], False
    function = re.search(r"(\w+)\s*\(", head)
    if function:
        return ([function[1]], True) if item[len(head):len(head) + 1] == "{" else ([], False)
    while BRACES.search(item):
        item = BRACES.sub("", item)
    parts = [re.match(r"[^=;\[]*", part)[0] for part in item.split(";")[0].split(",")]
    if re.fullmatch(r"\s*(?:static\s+|const\s+)*(?:struct|union|enum)\b\s*\w*\s*", parts[0]):
        return [], False
    return [word[-1] for word in (re.findall(r"\w+", part) for part in parts) if word], False


class Source:
    """What one .c file defines for others and uses."""

    def __init__(self, text):
        self.exported, own = set(), set()
        for item in items(text):
            names, _ = names_of(item)
            own.update(names)
            if not re.match(r"(?:\w+\s+)*?static\b", item):
                self.exported.update(names)
        self.used = identifiers(text) - own


class Headers:
    """What all headers declare, and what their macros and inline functions use."""

    def __init__(self, texts):
        self.declared, self.inside = set(), {}
        for text in texts:
            for name, body in MACRO.findall(text):
                self.inside[name] = identifiers(body)
            for item in items(text):
                names, is_function = names_of(item)
                if is_function:
                    self.inside[names[0]] = identifiers(item)
                else:
                    self.declared |= identifiers(item)

    def written_out(self, names):
        seen, left = set(), set(names)
        while left:
            name = left.pop()
            seen.add(name)
            left |= self.inside.get(name, set()) - seen
        return seen


def graph(root):
    """{file: {file that it uses: one of the names}}"""
    sources, headers = {}, []
    for top in ("include", "src"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name.endswith(".h"):
                    headers.append(read(path))
                elif name.endswith(".c"):
                    sources[os.path.relpath(path, root)] = Source(read(path))
    headers = Headers(headers)
    owner = {name: path for path, source in sources.items() for name in source.exported & headers.declared}
    edges = {}
    for path, source in sorted(sources.items()):
        used = {name for name in headers.written_out(source.used) if owner.get(name, path) != path}
        edges[path] = {owner[name]: name for name in sorted(used, reverse=True)}
    return edges


def way(edges, start, end):
    """The shortest one, as the files after start; at least one step. None: there is none."""
    before, row = {}, [start]
    while row:
        following = []
        for path in row:
            for target in sorted(edges[path]):
                if target not in before:
                    before[target] = path
                    following.append(target)
        if end in before:
            steps = [end]
            while before[steps[0]] != start:
                steps.insert(0, before[steps[0]])
            return steps
        row = following
    return None


def circles(edges):
    """The sets of files that reach each other."""
    reached, found, seen = {}, [], set()
    for path in edges:
        left, reached[path] = list(edges[path]), set()
        while left:
            target = left.pop()
            if target not in reached[path]:
                reached[path].add(target)
                left.extend(edges[target])
    for path in sorted(edges):
        if path in reached[path] and path not in seen:
            found.append({path} | {other for other in reached[path] if path in reached[other]})
            seen |= found[-1]
    return found


def told(edges, start, steps):
    ways = [f" uses {edges[path][target]} of {target}" for path, target in zip([start, *steps], steps)]
    return start + ", which".join(ways)


def findings(root):
    edges = graph(root)
    for circle in circles(edges):
        path = min(circle)
        ways = [way(edges, path, other) + way(edges, other, path) for other in sorted(circle - {path})]
        yield "a circle: " + told(edges, path, min(ways, key=len))
