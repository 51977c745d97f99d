# SPDX-License-Identifier: MIT
"""A script without .py, one compiled to .pyc, and one with an encoding line."""
# run: maker.py
# file: script
import multiprocessing as mp
def child(): print("child", __name__, flush=True)
if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
# file: maker.py
import py_compile, subprocess, sys
if __name__ == "__main__":
    launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
    py_compile.compile("script", "compiled.pyc")
    with open("latin.py", "wb") as file: file.write(b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n")
    for name in "script", "compiled.pyc", "latin.py":
        result = subprocess.run([*launcher, name], capture_output=True, text=True)
        print(name, result.returncode, result.stdout, result.stderr)
