# SPDX-License-Identifier: MIT
"""tempfile's directory, chosen by the program and at import."""
import multiprocessing as mp
import os
import tempfile
AT_IMPORT = tempfile.gettempdir()


def child(name): print(tempfile.gettempdir() == AT_IMPORT, os.path.basename(tempfile.gettempdir()), flush=True)


if __name__ == "__main__":
    tempfile.tempdir = os.getcwd()
    process = mp.Process(target=child, args=("",))
    process.start(); process.join()
