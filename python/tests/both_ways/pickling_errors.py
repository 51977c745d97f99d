# SPDX-License-Identifier: MIT
"""What can't be pickled is an error of start(), with the usual text, and nothing is started."""
import multiprocessing as mp
import threading


def main():
    class Local: pass
    def local(): pass
    for target, args in (lambda: 0, ()), (local, ()), (print, (Local(),)), (print, (threading.Lock(),)):
        process = mp.Process(target=target, args=args)
        try: process.start()
        except Exception as error: print(type(error).__name__, error)
        print(process.pid, process.exitcode, mp.active_children())


if __name__ == "__main__":
    main()
