# SPDX-License-Identifier: MIT
"""Entries of sys.path and words of sys.argv that are not plain strings: subclasses of str (path.py, numpy.str_)."""
# run: main.py
# file: text.py
class Text(str): pass
# file: main.py
import multiprocessing as mp
import sys
from text import Text


def child(): print([type(entry).__name__ for entry in sys.path[:1]], sys.argv, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, Text("/nowhere"))
    sys.argv = [Text("a name"), Text("b")]
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
