# SPDX-License-Identifier: MIT
"""python3 -m unittest of a module whose tests start processes."""
# run: -m unittest test_it
# file: test_it.py
import multiprocessing as mp
import re
import sys
import unittest
class Result: pass
def work(): return Result()


class Test(unittest.TestCase):
    def test_pool(self):
        with mp.Pool(1) as pool: self.assertIsInstance(pool.apply_async(work).get(10), Result)


def setUpModule():
    write = sys.stderr.write
    sys.stderr.write = lambda text: write(re.sub(r"in [\d.]+s", "in no time", text))
