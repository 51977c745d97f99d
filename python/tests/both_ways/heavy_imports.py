# SPDX-License-Identifier: MIT
"""Modules that the main module imports are there in a child, with one identity of classes."""
import decimal
import fractions
import multiprocessing as mp
import xml.etree.ElementTree as tree


def child(queue):
    queue.put((decimal.Decimal("1.5"), fractions.Fraction(1, 3), tree.tostring(tree.Element("a"))))


if __name__ == "__main__":
    queue = mp.SimpleQueue()
    process = mp.Process(target=child, args=(queue,))
    process.start(); process.join()
    number, fraction, text = queue.get()
    print(type(number) is decimal.Decimal, fraction + 1, text, process.exitcode)
