# SPDX-License-Identifier: MIT
"""What a process is and may do, by keywords that subprocess has, and some more."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple, Union

NAMES = ("limits", "nice", "cpu_affinity", "user", "group", "extra_groups", "umask", "cgroup")
_SAME = (1 << 64) - 2  # FSRV_LIMIT_SAME
_UNLIMITED = (1 << 64) - 1

Limit = Union[int, Tuple[Optional[int], Optional[int]]]


def resource_number(name):
    import resource

    if isinstance(name, int):
        return name
    number = getattr(resource, f"RLIMIT_{name}", None) if isinstance(name, str) else None
    if number is None:
        known = sorted(word[7:] for word in dir(resource) if word.startswith("RLIMIT_"))
        raise ValueError(f"limits: {name!r} is none of {', '.join(known)}")
    return number


def limit_value(value):
    if value is None:
        return _SAME
    if value == -1:  # resource.RLIM_INFINITY
        return _UNLIMITED
    if value < 0:
        raise ValueError("limits: a limit must not be negative")
    return int(value)


def _limit(name, value):
    """Returns (number, soft, hard)."""
    soft, hard = value if isinstance(value, (tuple, list)) else (value, value)
    return resource_number(name), limit_value(soft), limit_value(hard)


def _affinity(processors):
    """Returns the bytes of a cpu_set_t."""
    mask = 0
    for processor in processors:
        if processor < 0 or processor >= 8192:
            raise ValueError(f"cpu_affinity: there is no processor {processor}")
        mask |= 1 << processor
    return mask.to_bytes(max(8, (mask.bit_length() + 63) // 64 * 8), "little")


def _user(name):
    if not isinstance(name, str):
        return name
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {name!r}") from None


def _group(name):
    if not isinstance(name, str):
        return name
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {name!r}") from None


def make(*, limits: Optional[Mapping[Union[str, int], Limit]] = None, nice: Optional[int] = None,
         cpu_affinity: Optional[Iterable[int]] = None, user: Union[str, int, None] = None,
         group: Union[str, int, None] = None, extra_groups: Optional[Iterable[Union[str, int]]] = None,
         umask: Optional[int] = None, cgroup: Union[str, os.PathLike[str], None] = None) -> Optional[Dict[str, Any]]:
    """Returns the keywords as the extension takes them. None: nothing is set."""
    made = {
        "limits": limits and [_limit(name, value) for name, value in limits.items()],
        "nice": nice,
        "affinity": None if cpu_affinity is None else _affinity(cpu_affinity),
        "uid": _user(user),
        "gid": _group(group),
        "groups": None if extra_groups is None else [_group(name) for name in extra_groups],
        "umask": umask,
        "cgroup": None if cgroup is None else os.fspath(cgroup),
    }
    return {name: value for name, value in made.items() if value is not None} or None


def take(keywords: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Takes them out of a function's keywords."""
    return make(**{name: keywords.pop(name) for name in NAMES if name in keywords})
