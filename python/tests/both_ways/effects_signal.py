# SPDX-License-Identifier: MIT
"""A signal that the main module sends at import to the program."""
import multiprocessing as mp
import os
import signal
if __name__ == "__mp_main__":
    os.kill(int(open("pid").read()), signal.SIGUSR1)


def child(): pass


if __name__ == "__main__":
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    with open("pid", "w") as file: file.write(str(os.getpid()))
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(len(heard), process.exitcode)
