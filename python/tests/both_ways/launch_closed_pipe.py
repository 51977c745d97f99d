# SPDX-License-Identifier: MIT
"""A program whose reader has gone: what its end says, and its exit code."""
# run: maker.py
# file: writing.py
import multiprocessing as mp
def child(): print("child")
if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print("main", process.exitcode)
# file: maker.py
import os, subprocess, sys
launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
reader, writer = os.pipe()
os.close(reader)
result = subprocess.run([*launcher, "writing.py"], stdout=writer, stderr=subprocess.PIPE, text=True)
print(result.returncode, result.stderr)
