# SPDX-License-Identifier: MIT
"""`if current_process().name == 'MainProcess'` at import: only the program itself is that."""
import multiprocessing as mp
if mp.current_process().name == "MainProcess":
    print("starting", __name__, flush=True)


def child(): print("child", mp.current_process().name, flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
