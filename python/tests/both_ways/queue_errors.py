# SPDX-License-Identifier: MIT
"""An object that a child cannot put into a queue: the feeder's traceback, and the next one comes."""
import multiprocessing as mp
import queue as errors


def child(queue):
    queue.put(lambda: 0)
    queue.put("the next one")


if __name__ == "__main__":
    queue = mp.Queue(1)
    process = mp.Process(target=child, args=(queue,))
    process.start()
    print(queue.get(timeout=20))
    process.join()
    queue.put(1)
    try: queue.put(2, timeout=0.01)
    except errors.Full: print("full")
    try: print(queue.get(timeout=20)); queue.get(timeout=0.01)
    except errors.Empty: print("empty")
