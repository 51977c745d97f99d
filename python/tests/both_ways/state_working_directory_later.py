# SPDX-License-Identifier: MIT
"""A second start in another directory, with another umask."""
import multiprocessing as mp
import os


def child(number):
    with open(f"made{number}", "w"): pass
    print(os.path.basename(os.getcwd()), oct(os.stat(f"made{number}").st_mode), flush=True)


if __name__ == "__main__":
    for number in range(2):
        process = mp.Process(target=child, args=(number,))
        process.start(); process.join()
        os.mkdir("b")
        os.chdir("b")
        os.umask(0o077)
