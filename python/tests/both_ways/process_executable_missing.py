# SPDX-License-Identifier: MIT
"""set_executable() with a program that isn't there: start() raises, or the child fails."""
import multiprocessing as mp
if __name__ == "__main__":
    mp.set_executable("/nowhere/python3")
    process = mp.Process(target=print)
    try: process.start(); process.join(20); print("exit", process.exitcode)
    except OSError as error: print("an OSError")
    except EOFError as error: print("an OSError")
