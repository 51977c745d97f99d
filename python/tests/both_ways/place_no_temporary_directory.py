# SPDX-License-Identifier: MIT
"""No directory for temporary files can be found: processes start where the method needs none."""
# environment: TMPDIR=/nonexistent
import multiprocessing as mp
import tempfile


def child(): print("child", flush=True)


if __name__ == "__main__":
    print(tempfile.gettempdir() != "/nonexistent")
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
