# SPDX-License-Identifier: MIT
"""Working directory and umask: changed before the first start, and between two."""
import multiprocessing as mp
import os


def child():
    print(os.path.basename(os.getcwd()), flush=True)
    os.close(os.open("made", os.O_CREAT | os.O_WRONLY, 0o666))
    print(oct(os.stat("made").st_mode), flush=True)


if __name__ == "__main__":
    os.umask(0o027)
    os.mkdir("a")
    os.chdir("a")
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
