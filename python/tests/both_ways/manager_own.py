# SPDX-License-Identifier: MIT
"""BaseManager with the script's own class, an initializer, and an error of a method."""
import multiprocessing as mp
from multiprocessing.managers import BaseManager


class Counter:
    def __init__(self): self.n = 0
    def add(self, n): self.n += n; return self.n
    def fail(self): raise ValueError("of the manager")


class Manager(BaseManager): pass
Manager.register("Counter", Counter)
def begin(word): print("manager begins", word, flush=True)
def work(counter): counter.add(5)


if __name__ == "__main__":
    manager = Manager()
    manager.start(begin, ("now",))
    counter = manager.Counter()
    processes = [mp.Process(target=work, args=(counter,)) for _ in range(3)]
    for process in processes: process.start()
    for process in processes: process.join()
    print(counter.add(0))
    try: counter.fail()
    except ValueError as error: print(error)
    manager.shutdown()
