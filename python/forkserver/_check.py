# SPDX-License-Identifier: MIT
"""Checks whether install() could serve, as far as that can be known without multiprocessing."""

import os
import sys

MEMORY = ("auto", "freeze", "collapse", "off")


def check(memory):
    """Raises ValueError for a word that isn't known, RuntimeError where a fork server couldn't be started."""
    if memory not in MEMORY:
        raise ValueError(f"memory must be one of {', '.join(MEMORY)}")
    if not sys.platform.startswith("linux"):
        raise RuntimeError("forkserver needs Linux")
    directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libexec")
    if "FORKSERVER_HELPERS" in os.environ or not os.path.isdir(directory):
        directory = os.environ.get("FORKSERVER_HELPERS")  # else a build that isn't installed: the library will look
    if directory and not os.access(os.path.join(directory, "forkserver-server"), os.X_OK):
        raise RuntimeError(f"forkserver's helper program is missing: {directory}/forkserver-server")
