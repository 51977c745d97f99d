# SPDX-License-Identifier: MIT
"""Targets that are partials, bound methods, static and class methods, instances, builtins."""
import functools
import multiprocessing as mp


class Thing:
    def __init__(self, x): self.x = x
    def method(self, y): print("method", self.x, y, flush=True)
    def __call__(self): print("call", self.x, flush=True)
    @classmethod
    def of_class(cls): print("class", cls.__name__, flush=True)
    @staticmethod
    def static(): print("static", flush=True)


if __name__ == "__main__":
    thing = Thing(1)
    for target in (functools.partial(thing.method, 2), thing, Thing.of_class, Thing.static,
                   functools.partial(print, "printed", flush=True)):
        process = mp.Process(target=target)
        process.start(); process.join()
        assert process.exitcode == 0
