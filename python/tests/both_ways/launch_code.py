# SPDX-License-Identifier: MIT
"""-c: children have no main module; what is importable can be started, what is of main cannot."""
# run: -c {text} a -b
import multiprocessing as mp, sys, os
def own(): print("own")
if __name__ == "__main__":
    main = sys.modules["__main__"]
    print(sys.argv, repr(sys.path[0]), hasattr(main, "__file__"), main.__spec__, type(main.__loader__).__name__)
    for target, args in (print, ("imported",)), (own, ()):
        process = mp.Process(target=target, args=args)
        process.start(); process.join()
        print("exit", process.exitcode, flush=True)
