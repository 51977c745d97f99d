# SPDX-License-Identifier: MIT
"""A worker of a pool that is killed at work is replaced; its job is lost, others go on."""
import multiprocessing as mp
import os
import signal


def die(): os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        lost = pool.apply_async(die)
        print(sorted(pool.map(abs, range(-9, 0))))
        try: lost.get(0.5)
        except mp.TimeoutError as error: print("lost", repr(error))
