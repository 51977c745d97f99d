# SPDX-License-Identifier: MIT
"""^C while the main module is loaded for the first start: it is heard at once, and no child goes on by itself."""
# limit: 30
import multiprocessing as mp
import os
import signal
import time
if __name__ == "__mp_main__":
    try:
        with open("sent", "x") as file: file.write("once")
        os.kill(int(open("pid").read()), signal.SIGINT)
    except FileExistsError: pass
    time.sleep(3)


def child():
    open("written", "w").close()
    time.sleep(1000)


if __name__ == "__main__":
    with open("pid", "w") as file: file.write(str(os.getpid()))
    process = mp.Process(target=child)
    try:
        process.start()
        process.join()
    except KeyboardInterrupt:
        print("interrupted at once", time.time() - os.stat("sent").st_mtime < 2, flush=True)
    if process.pid:
        process.terminate()
        process.join()
    time.sleep(4)
    print(mp.active_children(), os.path.exists("written"))
