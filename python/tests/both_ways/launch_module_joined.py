# SPDX-License-Identifier: MIT
"""-mNAME in one word."""
# run: -mtool x
# file: tool.py
import multiprocessing as mp
import sys
if __name__ == "__main__":
    process = mp.Process(target=print, args=(sys.argv[1:], sys.path[0] == "" or "cwd"))
    process.start()
    process.join()
