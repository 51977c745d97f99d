# SPDX-License-Identifier: MIT
"""The fork and spawn methods beside this one, in one program."""
import multiprocessing as mp
import os


def child(queue, method): queue.put((method, mp.get_start_method(), __name__, mp.parent_process().pid == os.getppid()))


if __name__ == "__main__":
    for method in "forkserver", "spawn", "fork", "forkserver":
        context = mp.get_context(method)
        queue = context.Queue()
        process = context.Process(target=child, args=(queue, method))
        process.start()
        print(queue.get(timeout=20)[:3] if method == "forkserver" else queue.get(timeout=20))
        process.join()
