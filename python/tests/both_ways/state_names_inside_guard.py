# SPDX-License-Identifier: MIT
"""A function that is only there under the main guard cannot be started."""
import multiprocessing as mp
if __name__ == "__main__":
    def inside(): print("never")
    process = mp.Process(target=inside)
    process.start(); process.join()
    print(process.exitcode)
