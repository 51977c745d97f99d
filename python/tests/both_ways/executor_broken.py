# SPDX-License-Identifier: MIT
"""A worker that dies breaks its executor: by os._exit(), by a signal, in its initializer; another one works."""
import os
import signal
from concurrent.futures import ProcessPoolExecutor


def die(): os.kill(os.getpid(), signal.SIGKILL)
def fail(): raise ValueError("of an initializer")


if __name__ == "__main__":
    for function, args in (os._exit, (7,)), (die, ()):
        with ProcessPoolExecutor(2) as executor:
            print(repr(executor.submit(function, *args).exception(20)))
            try: executor.submit(abs, 1)
            except Exception as error: print(repr(error), flush=True)
    with ProcessPoolExecutor(1, initializer=fail) as executor:
        print(repr(executor.submit(abs, 1).exception(20)), flush=True)
    with ProcessPoolExecutor(1) as executor: print(executor.submit(abs, -1).result(20))
