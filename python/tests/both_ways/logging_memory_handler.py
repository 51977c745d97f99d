# SPDX-License-Identifier: MIT
"""Records that a MemoryHandler of the main module holds are written at a child's end, as on stock of that version."""
import logging
import logging.handlers
import multiprocessing as mp
import sys
handler = logging.handlers.MemoryHandler(1000, target=logging.StreamHandler(sys.stdout))
log = logging.getLogger("x")
log.addHandler(handler)
log.setLevel(logging.INFO)


def child(): log.info("a buffered record of %s", mp.current_process().name)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
