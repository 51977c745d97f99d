# SPDX-License-Identifier: MIT
"""runpy.run_module() with alter_sys in a program, and a process of what it ran."""
# run: main.py
# file: tool.py
import multiprocessing as mp
def child(): print("child of", __name__, flush=True)
if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
# file: main.py
import runpy
if __name__ == "__main__":
    runpy.run_module("tool", run_name="__main__", alter_sys=True)
