# SPDX-License-Identifier: MIT
"""Without a main guard: the RuntimeError with its text, and no bomb."""
import multiprocessing as mp
process = mp.Process(target=print, args=("never",))
process.start()
process.join()
print("exit", process.exitcode)
