# SPDX-License-Identifier: MIT
"""What classes and functions of the script are called in parent and child."""
import multiprocessing as mp


class Thing: pass


def child(queue, thing):
    print(type(thing).__module__, child.__module__, Thing.__module__, type(thing) is Thing, flush=True)
    queue.put((Thing(), Thing, child))


if __name__ == "__main__":
    queue = mp.SimpleQueue()
    process = mp.Process(target=child, args=(queue, Thing()))
    process.start()
    thing, kind, function = queue.get()
    process.join()
    print(type(thing) is Thing, kind is Thing, function is child, thing.__module__)
