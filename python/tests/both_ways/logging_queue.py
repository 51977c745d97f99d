# SPDX-License-Identifier: MIT
"""QueueHandler in the children and a QueueListener in the program."""
import logging
import logging.handlers
import multiprocessing as mp
import sys


def child(queue, number):
    root = logging.getLogger()
    root.handlers[:] = [logging.handlers.QueueHandler(queue)]
    root.setLevel(logging.INFO)
    logging.info("from %d in %s", number, mp.current_process().name)
    try: 1 / 0
    except ZeroDivisionError: logging.exception("failed")


if __name__ == "__main__":
    queue = mp.Queue()
    listener = logging.handlers.QueueListener(queue, logging.StreamHandler(sys.stdout))
    listener.start()
    for number in range(2):
        process = mp.Process(target=child, args=(queue, number))
        process.start(); process.join()
    listener.stop()
