# SPDX-License-Identifier: MIT
"""Subclasses of Process with run(), attributes and __init__, of each context; __reduce__ of one's own."""
import multiprocessing as mp


class Own(mp.Process):
    def __init__(self, word, **options):
        super().__init__(**options)
        self.word = word

    def run(self): print(type(self).__name__, self.word, self.name, self is mp.current_process(), flush=True)


class OfContext(mp.get_context("forkserver").Process):
    def run(self): print(self.name, self._start_method, mp.get_start_method(), flush=True)


if __name__ == "__main__":
    for process in Own("word", name="named"), Own("other", daemon=True), OfContext():
        process.start(); process.join()
        print(process.exitcode)
