# SPDX-License-Identifier: MIT
"""breakpoint() in a program: the debugger's frames and namespace are the program's."""
# input: where\np VALUE\nup\nc\n
import multiprocessing as mp
VALUE = 5


def f(): breakpoint()


if __name__ == "__main__":
    f()
    process = mp.Process(target=print, args=("child",))
    process.start(); process.join()
