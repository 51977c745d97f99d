# SPDX-License-Identifier: MIT
"""A log file that the main module opens at import by basicConfig(); children write to it, in order."""
import logging
import multiprocessing as mp
logging.basicConfig(filename="log", level=logging.INFO, format="%(processName)s %(message)s")
logging.info("imported")


def child(): logging.info("child")


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(open("log").read().replace("MainProcess imported", "").split("\n")[-3:], process.exitcode)
