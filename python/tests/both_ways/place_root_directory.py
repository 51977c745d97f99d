# SPDX-License-Identifier: MIT
"""A program in / with a temporary directory that isn't there and no home."""
# cwd: /
# run: -c {text}
# environment: HOME=/nonexistent XDG_RUNTIME_DIR PATH=/nonexistent
import multiprocessing as mp
if __name__ == "__main__":
    process = mp.Process(target=print, args=("child",))
    process.start(); process.join()
    print(process.exitcode)
