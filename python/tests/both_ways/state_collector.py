# SPDX-License-Identifier: MIT
"""The garbage collector in a child: on, its thresholds, its flags; and where the main module turns it off."""
import gc
import multiprocessing as mp
gc.set_threshold(600, 9, 8)


def child():
    print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks, flush=True)
    class Node: pass
    import weakref
    node = Node(); node.self = node
    gone = weakref.ref(node)
    del node
    gc.collect()
    print(gone() is None, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
