# SPDX-License-Identifier: MIT
"""What processes may do."""

from __future__ import annotations

import os
import sys
from typing import Any, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import _attributes, _native

Path = Union[str, bytes, "os.PathLike[Any]"]

_READ, _EXECUTE, _WRITE, _MAKE = 1, 2, 4, 8
_CONNECT, _BIND = 1, 2
_GROUPS = ("exec", "network", "sockets", "others", "kernel", "metadata", "files", "namespaces", "fork")
_FLAGS = ("strict", "kill", "spawn", "mdwe", "new_root")
_MOUNTS = {"bind": 1, "ro-bind": 2, "tmpfs": 3, "proc": 4, "read-only": 5}
_NAMESPACES = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
               "net": 0x40000000}
_STATES = {1: "enforced", 2: "partly", 3: "not enforced"}


class Rule(NamedTuple):
    """One rule of a sandbox, and what becomes of it on this system. state: "enforced", "partly" or "not enforced".
    by: what enforces it. why: of a gap, what is open; else ""."""
    what: str
    state: str
    by: str
    why: str


def _number(name, of, what):
    try:
        return of[name]
    except KeyError:
        raise ValueError(f"{what} must be one of {', '.join(of)}, not {name!r}") from None


def _modules_in(directory):
    with os.scandir(directory) as entries:
        return [entry.path for entry in entries
                if entry.name.endswith((".py", ".pyc", ".so")) and entry.is_file() or
                os.path.exists(os.path.join(entry.path, "__init__.py"))]


def _import_paths():
    """Returns where modules come from, and the interpreter's own files. A script's directory may be the home directory,
    with keys and documents, or one above it: of that the modules alone."""
    home = os.path.realpath(os.path.expanduser("~"))
    places = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    for place in filter(os.path.exists, sys.path):
        is_above = os.path.commonpath([home, os.path.realpath(place)]) == os.path.realpath(place)
        places += _modules_in(place) if is_above and place not in places else [place]
    return dict.fromkeys(map(os.path.abspath, places))


class Sandbox:
    """What processes may do. It is made once, and cannot be changed; any number of servers may use it.

    profile: "untrusted", "pure-compute", "no-network", "no-exec", or "none", to which the others add. doc/sandbox.md
    says what each of them closes.

    read, execute, write, make: files and directories that may be read; executed too; written to too; made and removed
    too. Other files are closed. imports: the interpreter, and all that lies in a directory of sys.path, may be read and
    executed; the script's own directory is one. Of the home directory, and those above, it is the modules alone.
    connect, listen: TCP ports, where there is a network. refuse, allow: groups of system calls: "exec", "network",
    "sockets", "others", "kernel", "metadata", "files", "namespaces", "fork". filter: bytes, one more filter.
    limits: as {"AS": 2**30, "CPU": 10}, by the names of setrlimit(2) without RLIMIT_; each is soft and hard.
    unshare: "net", "ipc", "uts", "user", "mount", "cgroup". mounts: ("ro-bind", source, target), ("bind", source,
    target), ("tmpfs", target), ("proc", target), ("read-only", target); with new_root they are all there is.
    strict: what this system cannot enforce is an error. kill: a refused system call kills the process; else it raises
    PermissionError there. spawn: processes may start others, into the same sandbox. mdwe: memory that was writable is
    never executable.

    rules: what becomes of each rule on this system. Raises Error, stage "sandbox", for what cannot be had."""

    def __init__(self, profile: str = "untrusted", *, read: Iterable[Path] = (), execute: Iterable[Path] = (),
                 write: Iterable[Path] = (), make: Iterable[Path] = (), imports: bool = True,
                 connect: Iterable[int] = (), listen: Iterable[int] = (),
                 limits: Optional[Mapping[Union[str, int], int]] = None, refuse: Iterable[str] = (),
                 allow: Iterable[str] = (), filter: Optional[bytes] = None,
                 unshare: Iterable[str] = (), mounts: Iterable[Sequence[Any]] = (), strict: bool = False,
                 kill: bool = False, spawn: bool = False, mdwe: bool = False, new_root: bool = False) -> None:
        additions: list[Tuple[str, Tuple[Any, ...]]] = []
        opened = ((read, _READ), (execute, _READ | _EXECUTE), (write, _READ | _WRITE),
                  (make, _READ | _WRITE | _MAKE))
        paths = [(_path(path), access) for given, access in opened for path in _listed(given)]
        has_files = profile == "untrusted" or paths
        if imports and has_files:
            paths += [(os.fsencode(path), _READ | _EXECUTE) for path in _import_paths()]
        additions += [("path", path) for path in paths]
        additions += [("port", (_port(port), access)) for ports, access in ((connect, _CONNECT), (listen, _BIND))
                      for port in ports]
        groups = {name: 1 << i for i, name in enumerate(_GROUPS)}
        additions += [("refuse", (_number(name, groups, "refuse"),)) for name in _listed(refuse)]
        additions += [("allow", (_number(name, groups, "allow"),)) for name in _listed(allow)]
        additions += [("unshare", (_number(name, _NAMESPACES, "unshare"),)) for name in _listed(unshare)]
        additions += [("mount", _mount(*_listed(mount))) for mount in mounts]
        additions += [("limit", _limit(name, value)) for name, value in (limits or {}).items()]
        if filter is not None:
            if len(filter) % 8:
                raise ValueError("filter: these are no whole instructions of 8 bytes")
            additions.append(("filter", (filter,)))
        given_flags = dict(strict=strict, kill=kill, spawn=spawn, mdwe=mdwe, new_root=new_root)
        additions.append(("flags", (sum(1 << i for i, name in enumerate(_FLAGS) if given_flags[name]),)))
        self.profile = profile
        self._native, rules = _native.sandbox(profile, additions)
        self.rules = [Rule(what, _STATES[state], by, why) for what, state, by, why in rules]

    def __repr__(self):
        return f"<forkserver.Sandbox {self.profile}>"


def _listed(given):
    if isinstance(given, (str, bytes)):
        raise TypeError(f"a list is wanted, as [{given!r}]")
    return given


def _path(path):
    if not os.fspath(path):
        raise ValueError("a path is missing")
    return os.fsencode(path)


def _port(port):
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"there is no port {port!r}: a number from 0 to 65535 is wanted")
    return port


def _mount(kind, *paths):
    number = _number(kind, _MOUNTS, "a mount")
    has_source = kind in ("bind", "ro-bind")
    if len(paths) != 1 + has_source:
        raise ValueError(f"a mount {kind!r} has {'a source and ' * has_source}a target, not {paths!r}")
    *source, target = map(_path, paths)
    if not os.path.isabs(target) or b".." in target.split(b"/"):
        raise ValueError(f"a mount's target has to be an absolute path without '..', not {os.fsdecode(target)!r}")
    return number, *(source or [b""]), target


def _limit(name, value):
    if not isinstance(value, int):
        raise TypeError(f"limits: {name!r} is a number, soft and hard, not {value!r}")
    return _attributes.resource_number(name), _attributes.limit_value(value)
