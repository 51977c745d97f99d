# SPDX-License-Identifier: MIT
"""ForkingPickler.register(), copyreg and dispatch tables for a program's own classes, at import and later."""
import copyreg
import multiprocessing as mp
from multiprocessing.reduction import ForkingPickler


class First: x = 0
class Second: x = 0
def make(kind, x): made = kind(); made.x = x; return made


copyreg.pickle(First, lambda thing: (make, (First, thing.x + 1)))


def child(queue, *things): queue.put([thing.x for thing in things]); queue.put(things)


if __name__ == "__main__":
    ForkingPickler.register(Second, lambda thing: (make, (Second, thing.x + 10)))
    queue = mp.SimpleQueue()
    process = mp.Process(target=child, args=(queue, First(), Second()))
    process.start(); process.join()
    print(queue.get(), [thing.x for thing in queue.get()], process.exitcode)
