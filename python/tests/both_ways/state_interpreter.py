# SPDX-License-Identifier: MIT
"""What of the interpreter's state a child has from its main module: limits, hooks, contexts, locale."""
import contextvars
import decimal
import locale
import multiprocessing as mp
import sys
import threading
variable = contextvars.ContextVar("variable", default="default")
variable.set("at import")
decimal.getcontext().prec = 5
sys.setrecursionlimit(1234)
sys.setswitchinterval(0.01)
threading.stack_size(1 << 20)
locale.setlocale(locale.LC_ALL, "C")
sys.settrace(None)


def child():
    print(variable.get(), decimal.Decimal(1) / 3, sys.getrecursionlimit(), sys.getswitchinterval(),
          threading.stack_size(), locale.setlocale(locale.LC_ALL), flush=True)


if __name__ == "__main__":
    variable.set("later")
    decimal.getcontext().prec = 6
    sys.setrecursionlimit(2345)
    process = mp.Process(target=child)
    process.start(); process.join()
