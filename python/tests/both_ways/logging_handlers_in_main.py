# SPDX-License-Identifier: MIT
"""Handlers that the main module sets at import: in children, once each; what the program adds later isn't there."""
import logging
import multiprocessing as mp
import sys
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(processName)s %(levelname)s %(message)s")
file = logging.FileHandler("log", delay=True)
logging.getLogger().addHandler(file)


def child():
    logging.getLogger("child").warning("said %s", len(logging.getLogger().handlers))


if __name__ == "__main__":
    logging.getLogger().addHandler(logging.StreamHandler())
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(process.exitcode, repr(open("log").read()), flush=True)
