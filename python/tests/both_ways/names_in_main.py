# SPDX-License-Identifier: MIT
"""Names of the start method's own code are not found in place of a function that isn't there."""
# run: -c {text}
import multiprocessing as mp
def f(): print("never")
def data(): print("never")
def marshal(): print("never")
def sys(): print("never")
if __name__ == "__main__":
    for function in f, data, marshal, sys:
        process = mp.Process(target=function)
        process.start(); process.join()
        print("exit", process.exitcode, flush=True)
