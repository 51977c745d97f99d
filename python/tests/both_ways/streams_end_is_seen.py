# SPDX-License-Identifier: MIT
"""A reader of a program's output sees its end when program and children have gone; no helper holds it."""
import multiprocessing as mp
import subprocess
import sys
if __name__ == "__main__" and len(sys.argv) == 1:
    launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
    with subprocess.Popen([*launcher, __file__, "inner"], stdout=subprocess.PIPE, text=True) as inner:
        print(inner.stdout.read().splitlines())
elif __name__ == "__main__":
    process = mp.Process(target=print, args=("child",))
    process.start(); process.join()
    print("end")
