# SPDX-License-Identifier: MIT
"""set_start_method() at import, without a guard: the error of a child, as on stock; with force, none."""
import multiprocessing as mp
import sys
mp.set_start_method("forkserver", force="force" in sys.argv)


def child(): print("child", mp.get_start_method(), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
    sys.argv.append("force")
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
