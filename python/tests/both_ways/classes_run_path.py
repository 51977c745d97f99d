# SPDX-License-Identifier: MIT
"""runpy.run_path() of a script with run_name __main__, as runners of all kinds have it."""
# run: runner.py
# file: script.py
import multiprocessing as mp


class Thing: pass
def make(): return Thing()


if __name__ == "__main__":
    with mp.Pool(1) as pool:
        try: print(type(pool.apply_async(make).get(10)) is Thing)
        except Exception as error: print(type(error).__name__, error)
# file: runner.py
import runpy
if __name__ == "__main__":
    runpy.run_path("script.py", run_name="__main__")
