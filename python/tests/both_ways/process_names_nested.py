# SPDX-License-Identifier: MIT
"""Names and identities of processes of processes, which progress bars and loggers use."""
import multiprocessing as mp


def level(depth):
    me = mp.current_process()
    print(me.name, me._identity, me._parent_pid is not None, flush=True)
    for _ in range(2 if depth else 0):
        process = mp.Process(target=level, args=(depth - 1,))
        process.start(); process.join()


if __name__ == "__main__":
    level(2)
