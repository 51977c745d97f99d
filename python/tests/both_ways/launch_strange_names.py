# SPDX-License-Identifier: MIT
"""Scripts with spaces, letters that are not ASCII, bytes that are no text in their names; such arguments."""
# run: maker.py
# file: script.py
import multiprocessing as mp
import sys
def child(): print(ascii(sys.argv), ascii(__file__.rpartition("/")[2]), flush=True)
if __name__ == "__main__":
    child()
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
# file: maker.py
import os, shutil, subprocess, sys
if __name__ == "__main__":
    launcher = [sys.executable] + (["-m", "forkserver"] if "forkserver" in sys.modules else [])
    for name in b"a name.py", "n\u00e4me.py".encode(), b"\xff.py", b"no-module-name.py", b"1.py":
        shutil.copy(b"script.py", name)
        result = subprocess.run([*launcher, name, b"\xfe", b""], capture_output=True)
        print(result.returncode, ascii(result.stdout), result.stderr)
