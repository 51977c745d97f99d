# SPDX-License-Identifier: MIT
"""ctx.reducer of one's own pickles what a process needs."""
import multiprocessing as mp
from multiprocessing import reduction


class Pickler(reduction.ForkingPickler): pass


class Reducer(reduction.AbstractReducer):
    HAVE_SEND_HANDLE, sendfds = True, staticmethod(reduction.sendfds)

    def dump(self, obj, file, protocol=None):
        print("dumped", type(obj).__name__, flush=True)
        reduction.dump(obj, file, protocol)


def child(): print("child", flush=True)


if __name__ == "__main__":
    context = mp.get_context("forkserver")
    context.reducer = Reducer()
    process = context.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
