# SPDX-License-Identifier: MIT
"""A warning that the main module raises at import is shown in parent and child."""
import multiprocessing as mp
import warnings
if __name__ == "__main__":
    warnings.simplefilter("ignore")
warnings.warn("at import", FutureWarning)


def child(): print("child", flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
