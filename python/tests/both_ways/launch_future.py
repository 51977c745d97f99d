# SPDX-License-Identifier: MIT
"""No __future__ statement but the program's own is in force."""
# run: maker.py
# file: plain.py
x: print("annotation is evaluated") = 1
def f(y: 1 + 1): pass
print(f.__annotations__, __annotations__ if "__annotations__" in globals() else None)
# file: future.py
from __future__ import annotations
def f(y: 1 + 1): pass
print(f.__annotations__)
# file: maker.py
import subprocess, sys
launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
for words in ["plain.py"], ["future.py"], ["-m", "plain"], ["-c", open("plain.py").read()]:
    print(subprocess.run([*launcher, *words], capture_output=True, text=True).stdout)
