# SPDX-License-Identifier: MIT
"""What modules do to the environment while they are loaded: each child has it, on top of its parent's."""

import os

from . import _native

_before = None  # as it was in C
_assigned = set()
_calls = None  # the real os.putenv and os.unsetenv


def in_c():
    """The process's environment as C has it: a dict of bytes."""
    found = {}
    for word in _native.c_environment():
        name, separator, value = word.partition(b"=")
        if separator:
            found.setdefault(name, value)  # of a name that is there twice, the first counts
    return found


def watch():
    """Notes from now on which names are assigned or deleted in os.environ, even if the value stays the same."""
    global _before, _calls
    _before = in_c()
    _calls = os.putenv, os.unsetenv

    def putenv(name, value):
        _assigned.add(os.fsencode(name))
        _calls[0](name, value)

    def unsetenv(name):
        _assigned.add(os.fsencode(name))
        _calls[1](name)

    os.putenv, os.unsetenv = putenv, unsetenv  # os.environ calls them by these names


def changes():
    """Ends watch(), and returns what has been done since: (name, value or None, whether os.environ has it so)."""
    os.putenv, os.unsetenv = _calls
    now, in_python = in_c(), os.environ._data
    names = _assigned | {name for name in {*now, *_before} if now.get(name) != _before.get(name)}
    return [(name, now.get(name), in_python.get(name) == now.get(name)) for name in sorted(names)]


def apply(made):
    """Applies changes() of the zygote to an environment that the parent has changed."""
    for name, value, is_in_python in made:
        if value is None:
            os.unsetenv(name)
        else:
            os.putenv(name, value)
        if is_in_python and value is None:
            os.environ._data.pop(name, None)
        elif is_in_python:
            os.environ._data[name] = value
