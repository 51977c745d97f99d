# SPDX-License-Identifier: MIT
"""terminate(), kill() and close(), before and after the end."""
import multiprocessing as mp
import time


def sleep(): time.sleep(1000)


if __name__ == "__main__":
    for end in "terminate", "kill":
        process = mp.Process(target=sleep)
        process.start()
        getattr(process, end)()
        print(process.join(20), process.exitcode, process.is_alive())
        getattr(process, end)()
        process.join()
        process.close()
        try: print(process.exitcode)
        except ValueError as error: print(error)
    process = mp.Process(target=sleep)
    process.start()
    try: process.close()
    except ValueError as error: print(error)
    process.kill(); process.join()
    print(process)
