# SPDX-License-Identifier: MIT
"""Value, Array, RawValue, RawArray, a ctypes structure."""
import ctypes
import multiprocessing as mp
from multiprocessing import sharedctypes


class Point(ctypes.Structure): _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_int)]


def work(value, array, raw, text, points):
    for _ in range(100):
        with value.get_lock(): value.value += 1
    array[0] += 1; raw[1] = 7; text.value = text.value.upper(); points[0].x += 0.5


if __name__ == "__main__":
    value, array, raw = mp.Value("i", 0), mp.Array("d", [1.5, 2]), sharedctypes.RawArray("h", 4)
    text, points = mp.Array("c", b"hello"), mp.Array(Point, [(1, 2), (3, 4)])
    processes = [mp.Process(target=work, args=(value, array, raw, text, points)) for _ in range(3)]
    for process in processes: process.start()
    for process in processes: process.join()
    print(value.value, array[:], list(raw), text.value, [(p.x, p.y) for p in points])
