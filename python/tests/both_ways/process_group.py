# SPDX-License-Identifier: MIT
"""The process group and the session of a child are the program's: ^C of a terminal reaches it."""
import multiprocessing as mp
import os
import signal


def child(queue, heard):
    signal.signal(signal.SIGWINCH, lambda *_: heard.put("heard"))
    queue.put((os.getpgrp(), os.getsid(0)))
    while True: signal.pause()


if __name__ == "__main__":
    queue, heard = mp.SimpleQueue(), mp.SimpleQueue()
    process = mp.Process(target=child, args=(queue, heard), daemon=True)
    process.start()
    print(queue.get() == (os.getpgrp(), os.getsid(0)))
    os.killpg(0, signal.SIGWINCH)
    print(heard.get())
