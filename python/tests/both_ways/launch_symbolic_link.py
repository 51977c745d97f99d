# SPDX-License-Identifier: MIT
"""A script that is run by a symbolic link in another directory: sys.path has where it lies."""
# run: maker.py
# file: real/helper.py
# file: real/script.py
import multiprocessing as mp, sys, os
import helper
def child(): print(helper.__name__, os.path.basename(sys.path[0]), os.path.basename(__file__), flush=True)
if __name__ == "__main__":
    child()
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
# file: maker.py
import os, subprocess, sys
if __name__ == "__main__":
    os.mkdir("links")
    os.symlink("../real/script.py", "links/link.py")
    launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
    result = subprocess.run([*launcher, "links/link.py"], capture_output=True, text=True)
    print(result.returncode, result.stdout, result.stderr)
