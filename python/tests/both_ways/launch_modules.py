# SPDX-License-Identifier: MIT
"""Modules that are loaded when a program begins: none of what it did not ask for."""
import sys
WATCHED = "multiprocessing", "logging", "threading", "pickle", "socket", "subprocess", "signal", "asyncio", "random"
print([name for name in WATCHED if name in sys.modules], "__mp_main__" in sys.modules)
