# SPDX-License-Identifier: MIT
"""Exceptions with a constructor of their own: those that can travel, and those that can't."""
import multiprocessing as mp


class Good(Exception):
    def __init__(self, a, b): super().__init__(a, b); self.a, self.b = a, b


class Reduced(Exception):
    def __init__(self, a, b): super().__init__(f"{a}{b}"); self.parts = a, b
    def __reduce__(self): return type(self), self.parts


def fail(kind): raise kind(1, 2)


if __name__ == "__main__":
    with mp.Pool(1) as pool:
        for kind in Good, Reduced:
            try: pool.apply_async(fail, (kind,)).get(20)
            except Exception as error: print(type(error).__name__, error, vars(error), type(error.__cause__).__name__)
