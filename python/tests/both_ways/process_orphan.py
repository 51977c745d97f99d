# SPDX-License-Identifier: MIT
"""A child whose program is killed goes on by itself, and sees that it has no parent any more."""
import multiprocessing as mp
import os
import signal


def child():
    parent = mp.parent_process()
    os.kill(parent.pid, signal.SIGKILL)
    parent.join(20)
    print("alone", parent.is_alive(), parent.exitcode, flush=True)


if __name__ == "__main__":
    mp.Process(target=child).start()
    signal.pause()
