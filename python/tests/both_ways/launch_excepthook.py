# SPDX-License-Identifier: MIT
"""sys.excepthook of the program sees what nobody catches; a SystemExit it doesn't."""
# run: maker.py
# file: raising.py
import sys
class Leave(SystemExit): pass
def hook(kind, value, trace):
    names = []
    while trace: names.append(trace.tb_frame.f_code.co_name); trace = trace.tb_next
    print("hook", kind.__name__, names, flush=True)
sys.excepthook = hook
if sys.argv[1] == "error": raise ValueError("x")
if sys.argv[1] == "leave": raise Leave(5)
if sys.argv[1] == "group": raise BaseException("base")
if sys.argv[1] == "interrupt": raise KeyboardInterrupt
# file: maker.py
import subprocess, sys
launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
for word in "error", "leave", "group", "interrupt":
    for words in ["raising.py"], ["-m", "raising"], ["-c", open("raising.py").read()]:
        result = subprocess.run([*launcher, *words, word], capture_output=True, text=True)
        print(word, result.returncode, result.stdout, result.stderr)
