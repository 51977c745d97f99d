# SPDX-License-Identifier: MIT
"""Objects and exceptions of the script's own classes come back: by queue, pool, executor, pipe."""
import dataclasses
import enum
import multiprocessing as mp
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor


@dataclasses.dataclass
class Result:
    value: int


class Colour(enum.Enum):
    RED = 1


Point = namedtuple("Point", "x y")


class Failure(Exception): pass


def work(number): return Result(number), Colour.RED, Point(number, 0)
def fail(): raise Failure("of the script")
def put(queue, connection): queue.put(Result(1)); connection.send(Point(1, 2))


if __name__ == "__main__":
    queue, (ours, its) = mp.Queue(), mp.Pipe()
    process = mp.Process(target=put, args=(queue, its))
    process.start()
    print(queue.get(timeout=20), ours.recv())
    process.join()
    with mp.Pool(2) as pool, ProcessPoolExecutor(2) as executor:
        print(pool.map_async(work, range(2)).get(20), executor.submit(work, 3).result(20))
        for future in pool.apply_async(fail).get, executor.submit(fail).result:
            try: future(timeout=20)
            except Failure as error: print("caught", repr(error), Colour.RED is work(0)[1])
