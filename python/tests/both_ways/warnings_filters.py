# SPDX-License-Identifier: MIT
"""Filters that the main module sets at import, and one that the program sets later."""
import multiprocessing as mp
import warnings
warnings.simplefilter("error", UserWarning)
warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}\n"


def child():
    try: warnings.warn("a user's")
    except UserWarning as error: print("raised", error, flush=True)
    warnings.warn("of the future", FutureWarning)
    print(len(warnings.filters) > 0, flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    process = mp.Process(target=child)
    process.start(); process.join()
