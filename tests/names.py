# SPDX-License-Identifier: MIT
"""The names in src/: what other files may use says where it belongs, and no two files are called the same.

A function or a variable that isn't static is `fsrv_…` where a public header has it, and else `fsrv__…`. The command is
a program on top of the library: its own are `cli_…`, `map_…`, `check_…`, `ps_…` and `top_…`.
"""
import os
import re

import circles

PUBLIC = re.compile(r"\bfsrv_[a-z0-9]\w*")


def files(root, top, endings):
    for folder, _, names in os.walk(os.path.join(root, top)):
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(folder, name), root)


def may_export(path, name, public):
    if name == "main" or name in public:
        return True
    return name.startswith(("cli_", "map_", "check_", "ps_", "top_") if path.split(os.sep)[1] == "cli" else "fsrv__")


def findings(root):
    texts = (circles.read(os.path.join(root, path)) for path in files(root, "include", ".h"))
    public = {name for text in texts for name in PUBLIC.findall(text)}
    seen = {}
    for path in sorted(files(root, "src", (".c", ".h"))):
        name = os.path.basename(path)
        if seen.setdefault(name, path) != path:
            yield f"{path}: {seen[name]} has the same name"
        if not name.endswith(".c"):
            continue
        for exported in sorted(circles.Source(circles.read(os.path.join(root, path))).exported):
            if not may_export(path, exported, public):
                yield f"{path}: {exported} is not static, so it has to begin with fsrv__"
