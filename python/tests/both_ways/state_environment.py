# SPDX-License-Identifier: MIT
"""os.environ as it is at each start: changed and removed before the first one, and after."""
import multiprocessing as mp
import os


def child():
    print([os.environ.get(name) for name in ("FIRST", "SECOND", "LATER")], flush=True)
    print(os.system('echo "$FIRST $SECOND $LATER"'), flush=True)


if __name__ == "__main__":
    os.environ["FIRST"] = "1"
    os.environ["SECOND"] = "2"
    process = mp.Process(target=child)
    process.start(); process.join()
